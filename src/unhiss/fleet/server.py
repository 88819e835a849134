"""Imported by the fork server alone: what is meant for the processes it makes does not end it before them.

A signal to the whole group would, and then they could not clean up.
"""

from __future__ import annotations

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
