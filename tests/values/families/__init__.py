# SPDX-License-Identifier: MIT
"""Which cases there are: a module a family, with a function add(f) that adds them to a File."""
