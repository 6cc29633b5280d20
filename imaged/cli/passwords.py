"""Passwords as people type them, and as scripts hand them over."""

import sys

import click

from imaged.model.errors import BadInput


def read(*, from_input: bool) -> str:
    """Asked for twice on the terminal; with ``from_input`` the first line of standard input. Raises BadInput."""
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise BadInput("there is no terminal to ask for a password", hint="--stdin takes it from standard input.")
    word: str = click.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True)
    return word
