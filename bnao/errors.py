"""Errors of bnao.

Each error is also the builtin a caller expects, so ``except ValueError`` works without knowing bnao.
"""


class BnaoError(Exception):
    """Anything bnao refuses or cannot finish; the message says what is wrong, where, and what would be right."""


class GenotypeError(BnaoError, ValueError):
    """A genotype that cannot be: a wrong length, a later state, an unknown operation, another space's cell."""


class SizeError(BnaoError, ValueError):
    """Sizes that give no probabilities: none, or one that is not finite and positive."""


class RankingError(BnaoError, ValueError):
    """Two score lists that cannot be compared: of different lengths, or with a score that is not a number."""


class ConfigError(BnaoError, ValueError):
    """A setting that does not exist, has another type, or is out of its bounds."""


class DataError(BnaoError, ValueError):
    """A data set that is absent, incomplete, damaged or does not fit the settings."""


class WeightsError(BnaoError, ValueError):
    """A weights file that is damaged or belongs to another network."""


class ExportError(BnaoError, ValueError):
    """An exported file that does not compute what the network does, or a place where none can be written."""


class ProtocolError(BnaoError, TypeError):
    """A supernet or a controller that lacks what a search needs of it; all that is missing is named."""


class BackendError(BnaoError, ImportError):
    """A backend that is not installed, cannot be imported, or cannot do what is asked."""


class SpaceError(BnaoError, ImportError):
    """A search space of another package that cannot be imported, or of which no network can be made."""


class RunError(BnaoError, OSError):
    """A run's folder that cannot be written, is in use, or is not one."""


class WriteError(RunError):
    """A file of a run that cannot be written, as on a full disk; the run is whole up to there."""


class DivergedError(BnaoError, ArithmeticError):
    """Training gave a loss that is not a number."""


class RankError(BnaoError, ConnectionError):
    """Another process of a training by several has ended, or cannot be reached."""
