"""Commands on running nodes by ssh. Transport only: what to run and what answers mean is decided in planning."""
