"""One file per verb: argument parsing, progress and tables. No decisions."""
