"""The processes that are measured, one file a contender; they talk to the benchmark by ``protocol``."""
