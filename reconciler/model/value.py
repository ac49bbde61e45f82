"""What a field is compared and shown as: the one type of observed and desired values."""

from __future__ import annotations

Value = str | int | float | bool | tuple["Value", ...] | None
"""Canonical form of a field: comparable with `==`, printable, JSON-ready."""
