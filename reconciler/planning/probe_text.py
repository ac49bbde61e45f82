"""A probe as a spec file writes it, but for the values of headers, which may be secret.

Used by the table of fields, to compare and to tell.
"""

from __future__ import annotations

from reconciler.model.quantity import format_duration
from reconciler.model.spec import HttpCheck, Probe


def spell_probe(probe: Probe) -> str:
    """Return `tcp: {port: 80, host: ::1}, initialDelay: 0s, interval: 5s, ...`: every field."""
    rest = {
        "initialDelay": format_duration(probe.initial_delay_ns),
        "interval": format_duration(probe.interval_ns),
        "timeout": format_duration(probe.timeout_ns),
        "failureThreshold": probe.failure_threshold,
        "successThreshold": probe.success_threshold,
    }
    return ", ".join([_spell_check(probe), *(f"{key}: {value}" for key, value in rest.items())])


def _spell_check(probe: Probe) -> str:
    if probe.exec is not None:
        return f"exec: [{', '.join(probe.exec)}]"
    if probe.http is not None:
        return f"http: {_spell_http(probe.http)}"
    if probe.tcp is not None:
        return f"tcp: {{port: {probe.tcp.port}, host: {probe.tcp.host}}}"
    return f"unix: {probe.unix}"


def _spell_http(check: HttpCheck) -> str:
    headers = ", ".join(
        f"{name}: {spell_digest(value)}" for name, value in sorted(check.headers.items())
    )
    told = f", headers: {{{headers}}}" if headers else ""
    return f"{{port: {check.port}, path: {check.path}, host: {check.host}{told}}}"


def spell_digest(value: str) -> str:
    """Return what tells two values apart and shows neither: one may hold a token, or be long."""
    from hashlib import sha256

    return f"(sha256 {sha256(value.encode()).hexdigest()[:12]})"
