"""What is wrong with this server: facts in, findings out, a module for each thing that is looked at."""
