"""Upper bounds of the settings: far beyond what is of use, and small enough that a refusal comes at once."""

#: far beyond any network that is trained; larger ones could be counted, but nothing could hold them
MOST_CHANNELS = 16_384
MOST_CELLS = 1_000
MOST_CLASSES = 1_000_000
MOST_PIXELS = 16_384
MOST_UNITS = 16_384
MOST_BATCH = 10_000_000
MOST_THREADS = 1_024
MOST_GENOTYPES = 10_000_000
#: of parameters and multiply-adds
MOST_COUNT = 10**18
#: of trainings, subsets and resamples
MOST_REPEATS = 10_000_000
MOST_SEED = 2**64 - 1
