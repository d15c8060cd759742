"""``python -m seq2seq VERB …``, the same as ``seq2seq VERB …``."""

import sys

from seq2seq.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
