"""The analyzer's WebAssembly module, compiled once a machine and only where it is used.

PyPI's `zetasql` has a host for it, which compiles the module anew in every process that as much as names the options of
the analyzer, for some twenty seconds of CPU, and copies each message byte by byte.
"""

import contextlib
import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from google.protobuf.message import Message
from wasmtime import Config, Engine, Linker, Module, Store, WasiConfig, WasmtimeError
from zetasql.core.exceptions import ServerError
from zetasql.core.wasm_client import get_tzinfo_dir
from zetasql.wasi import get_wasm_path

Answer = TypeVar("Answer", bound=Message)

_SIZE_BYTES = 4  # of a size_t in wasm32


@dataclass(frozen=True)
class Analyzer:
    """A running module: the LocalService of https://github.com/google/googlesql, with no network between.

    Attributes:
        store: what the module owns.
        exports: its functions and its memory.
    """

    store: Store
    exports: Any

    def call(self, method: str, request: Message, answer: type[Answer]) -> Answer:
        """Call a method of the service.

        Args:
            method: its name.
            request: what it is asked.
            answer: the kind of what it answers.

        Raises:
            ServerError: when it refuses; with its reason.
        """
        data = request.SerializeToString()
        asked, size = self._run("wasm_malloc", len(data)), self._run("wasm_malloc", _SIZE_BYTES)
        try:
            ctypes.memmove(self._address(asked), data, len(data))
            answered = self._run(f"ZetaSqlLocalService_{method}", asked, len(data), size)
            if not answered:
                raise ServerError.from_error_string(self._last_error())
            told = self._read(answered, int.from_bytes(self._read(size, _SIZE_BYTES), "little"))
            self._run("wasm_free", answered)
        finally:
            self._run("wasm_free", asked)
            self._run("wasm_free", size)
        return answer.FromString(told)

    def _run(self, name: str, *arguments: int) -> Any:
        return self.exports[name](self.store, *arguments)

    def _read(self, start: int, size: int) -> bytes:
        return ctypes.string_at(self._address(start), size)

    def _address(self, place: int) -> int:
        return ctypes.addressof(self.exports["memory"].data_ptr().contents) + place

    def _last_error(self) -> str:
        return self._read(self._run("wasm_get_last_error"), self._run("wasm_get_last_error_size")).decode()


@cache
def analyzer() -> Analyzer:
    """Return the analyzer of this process."""
    config = Config()
    config.shared_memory = True
    # Without a home there is no place for it.
    with contextlib.suppress(WasmtimeError):
        config.cache = True
    engine = Engine(config)
    wasi = WasiConfig()
    wasi.inherit_stderr()
    wasi.preopen_dir(str(get_tzinfo_dir()), "/usr/share/zoneinfo")
    store = Store(engine)
    store.set_wasi(wasi)
    linker = Linker(engine)
    linker.define_wasi()
    exports: Any = linker.instantiate(store, Module.from_file(engine, get_wasm_path())).exports(store)
    exports["_initialize"](store)
    return Analyzer(store, exports)
