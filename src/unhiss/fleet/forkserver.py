"""Imported by the fork server alone: it ignores SIGTERM, so that it outlives the workers it has made.

A signal to the whole process group would otherwise end it first, and workers could not clean up.
"""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
