"""The command line: parse, call one use case, print. Results go to stdout, messages and progress to stderr."""

from handful.cli._app import app, here

# isort: off
from handful.cli import training  # each registers its commands, in the order in which help lists them
from handful.cli import using
from handful.cli import studio
from handful.cli import catalogue
from handful.cli import upkeep

__all__ = ["app", "catalogue", "here", "studio", "training", "upkeep", "using"]
