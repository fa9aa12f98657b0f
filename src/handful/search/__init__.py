"""Races and tuning: many ways of training on the same folds under one budget, and one leaderboard.

Every piece of work is written to the race's directory when it is done, so that a race that was killed goes on where it
stopped and ends with the same table. Rows that are ranked share one complete set of folds; what did not finish is listed.
"""

from handful.search.candidates import STRATEGIES as STRATEGIES
from handful.search.candidates import Candidate as Candidate
from handful.search.candidates import candidates as candidates
from handful.search.candidates import default_models as default_models
from handful.search.race import OutOfBudget as OutOfBudget
from handful.search.race import Race as Race
