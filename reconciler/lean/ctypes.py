"""What this project uses of `ctypes`, whose own module takes longer to load than all calls made.

The work is done by the same module in C; here are the few types and factories that are used.
"""

from __future__ import annotations

from reconciler.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from ctypes import CDLL as CDLL
    from ctypes import CFUNCTYPE as CFUNCTYPE
    from ctypes import Array as Array
    from ctypes import PyDLL as PyDLL
    from ctypes import addressof as addressof
    from ctypes import c_char as c_char
    from ctypes import c_char_p as c_char_p
    from ctypes import c_int as c_int
    from ctypes import c_long as c_long
    from ctypes import c_size_t as c_size_t
    from ctypes import c_uint as c_uint
    from ctypes import c_uint32 as c_uint32
    from ctypes import c_ulong as c_ulong
    from ctypes import c_void_p as c_void_p
    from ctypes import create_string_buffer as create_string_buffer
    from ctypes import get_errno as get_errno
    from ctypes import sizeof as sizeof
else:
    import _ctypes
    from _ctypes import addressof, get_errno, sizeof  # noqa: F401

    class c_int(_ctypes._SimpleCData):
        _type_ = "i"

    class c_uint(_ctypes._SimpleCData):
        _type_ = "I"

    class c_long(_ctypes._SimpleCData):
        _type_ = "l"

    class c_ulong(_ctypes._SimpleCData):
        _type_ = "L"

    class c_char(_ctypes._SimpleCData):
        _type_ = "c"

    class c_char_p(_ctypes._SimpleCData):
        _type_ = "z"

    class c_void_p(_ctypes._SimpleCData):
        _type_ = "P"

    c_uint32, c_size_t = c_uint, c_ulong  # on every Linux with 64 bits

    class CDLL:
        """As ctypes.CDLL(None, use_errno=True)."""

        _flags = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO

        def __init__(self, name, *, use_errno):
            assert name is None
            assert use_errno
            self._handle = _ctypes.dlopen(None, 0)
            self._type = type("Function", (_ctypes.CFuncPtr,), _of(c_int, self._flags))

        def __getattr__(self, name):
            function = self._type((name, self))
            setattr(self, name, function)
            return function

    class PyDLL(CDLL):
        """As ctypes.PyDLL(None, use_errno=True)."""

        _flags = CDLL._flags | _ctypes.FUNCFLAG_PYTHONAPI

    def CFUNCTYPE(restype, *argtypes, use_errno):
        """As ctypes.CFUNCTYPE with use_errno=True."""
        assert use_errno
        namespace = _of(restype, CDLL._flags) | {"_argtypes_": argtypes}
        return type("Function", (_ctypes.CFuncPtr,), namespace)

    def _of(restype, flags):
        return {"_restype_": restype, "_flags_": flags, "__slots__": ()}

    def create_string_buffer(initial, size=None):
        """As ctypes.create_string_buffer."""
        if isinstance(initial, int):
            return (c_char * initial)()
        buffer = (c_char * (len(initial) + 1 if size is None else size))()
        buffer.value = initial
        return buffer
