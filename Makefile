# Every task of the project; `make` alone lists them.
.DEFAULT_GOAL := help
