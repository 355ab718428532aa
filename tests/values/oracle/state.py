# SPDX-License-Identifier: MIT
"""Ops whose result is one of their inputs."""

ORACLES = {"Identity": lambda x: x}
