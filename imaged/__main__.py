"""``python3 -m imaged`` is the command line."""

from imaged.cli.main import main

if __name__ == "__main__":
    main()
