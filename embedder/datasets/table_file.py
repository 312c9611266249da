"""Reads the file of a label table, as spreadsheets and programs write it: CSV, Excel or Parquet."""

from __future__ import annotations

import codecs
import re
from io import StringIO
from pathlib import Path

import pandas as pd

from ..errors import MaskclsError
from ..photo import shown

INSTALL = "pip install 'maskcls[excel]'"
_SEPARATORS = ",;\t|"
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_table(path: Path) -> pd.DataFrame:
    """A table, all cells as text, empty where missing.

    ``.parquet`` and ``.xlsx`` (the first sheet) are read as such. Any other file is CSV, separated by commas,
    semicolons, tabs or bars, in UTF-8, UTF-16 or cp949.

    Raises:
        MaskclsError: it cannot be read.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path).astype("string").fillna("")
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            return pd.read_excel(path, dtype=str, keep_default_na=False, engine="openpyxl").fillna("")
        return _read_csv(_text(path.read_bytes()))
    except ImportError as error:
        raise MaskclsError(f"{shown(path)}: Excel tables need an extra: {INSTALL}, or save it as CSV") from error
    except Exception as error:  # pandas, pyarrow and openpyxl raise many types on a damaged table
        reason = " ".join(str(error).split())[:150]
        raise MaskclsError(f"{shown(path)}: cannot be read as a label table ({reason})") from error


def _text(data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding)
    if b"\0" in data[:2]:  # a header begins with a letter of one byte, the other is 0
        return data.decode("utf-16-be" if data.startswith(b"\0") else "utf-16-le")
    for encoding in ("utf-8", "cp949"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            pass
    raise ValueError("neither UTF-8 nor UTF-16 nor cp949; save it as CSV in UTF-8")


def _read_csv(text: str) -> pd.DataFrame:
    header = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    separator = max(_SEPARATORS, key=header.count)
    frame = pd.read_csv(StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    if list(map(str, frame.index)) == [str(number) for number in range(1, len(frame) + 1)]:  # R's row names
        return frame.reset_index(drop=True)
    if (frame.iloc[:, -1] == "").all():  # every row ends with a separator that the header lacks
        return pd.read_csv(
            StringIO(text),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            usecols=range(frame.shape[1]),
            index_col=False,
        )
    raise ValueError(f"its rows have more cells than its header, which is {', '.join(map(str, frame.columns))}")
