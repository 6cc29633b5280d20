"""What every virtual machine that we start has in common."""
