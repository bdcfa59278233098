"""`python -m lorabook` is the `lorabook` command."""

import sys

from lorabook.book.cli import main

sys.exit(main())
