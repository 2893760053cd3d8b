"""Landmarks: genotypes trained alone that say how several scores are to be weighed."""

from bnao.errors import ConfigError

#: fewer trainings say nothing about the weights
LEAST_LANDMARKS = 5


def check_landmarks(landmarks: int) -> None:
    """Check how many landmarks are asked for; 0: none, and all scores count alike.

    Raises:
        ConfigError: too few.
    """
    if 0 < landmarks < LEAST_LANDMARKS:
        raise ConfigError(f"landmarks is {landmarks}; it must be 0 or >= {LEAST_LANDMARKS}")
