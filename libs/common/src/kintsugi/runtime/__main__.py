"""``python -m kintsugi.runtime intake assessment referral notify``: several services in one process."""

import sys

from kintsugi.runtime.start import main

main(*sys.argv[1:])
