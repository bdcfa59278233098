"""The run-time type checker of the tests: beartype, where an int is a float as Python's typing says (alpha=16)."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
