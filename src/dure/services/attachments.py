"""What an attachment is, by its content and not by its name; a closed list, nothing that runs."""

import hashlib
import io
import re
import zipfile

from dure.core.programme import Refusal

SIZE_BYTES_MAX = 20 * 1024 * 1024
NAME_LENGTH_MAX = 120
# A package of an office program has some hundred parts; a bomb has millions.
PARTS_MAX = 5_000
_BEGINNINGS = (
    ("pdf", b"%PDF-"),
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("jpg", b"\xff\xd8\xff"),
)
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HWP_SIGN = b"HWP Document File"
# Parts in which macros live; a document with one is a program.
_MACROS = re.compile(r"(^|/)(vbaProject\.bin|Scripts/)", re.IGNORECASE)
_NAME = re.compile(r"[^\x00-\x1f\x7f/\\]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
KINDS = ("pdf", "hwp", "hwpx", "docx", "xlsx", "png", "jpg", "csv", "txt")


def kind_of(content: bytes, name: str) -> str | Refusal:
    """Tell what a file is.

    Args:
        content: all of it.
        name: only to tell ``csv`` from ``txt``, which look alike inside.

    Returns:
        One of ``KINDS``; FILE_IS_TOO_LARGE, FILE_NAME_IS_WRONG, or FILE_KIND_IS_NOT_TAKEN.
    """
    if _NAME.fullmatch(name) is None or len(name) > NAME_LENGTH_MAX or name.strip(". ") == "":
        return Refusal.FILE_NAME_IS_WRONG
    if len(content) > SIZE_BYTES_MAX:
        return Refusal.FILE_IS_TOO_LARGE
    for kind, beginning in _BEGINNINGS:
        if content.startswith(beginning):
            return kind
    if content.startswith(_COMPOUND):
        return "hwp" if _HWP_SIGN in content else Refusal.FILE_KIND_IS_NOT_TAKEN
    if content.startswith(b"PK\x03\x04"):
        return _package(content)
    return _text(content, name)


def name_of(content: bytes) -> str:
    """Return the name under which content is kept: its SHA-256."""
    return hashlib.sha256(content).hexdigest()


def _package(content: bytes) -> str | Refusal:
    """Tell an office document from its list of parts; nothing is unpacked but a short type."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            parts = package.namelist()
            if len(parts) > PARTS_MAX or any(_MACROS.search(one) for one in parts):
                return Refusal.FILE_KIND_IS_NOT_TAKEN
            if "mimetype" in parts and package.getinfo("mimetype").file_size <= 64:
                kind = package.read("mimetype").strip()
                return "hwpx" if kind == b"application/hwp+zip" else Refusal.FILE_KIND_IS_NOT_TAKEN
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return Refusal.FILE_KIND_IS_NOT_TAKEN
    if "[Content_Types].xml" in parts:
        if "word/document.xml" in parts:
            return "docx"
        if "xl/workbook.xml" in parts:
            return "xlsx"
    return Refusal.FILE_KIND_IS_NOT_TAKEN


def _text(content: bytes, name: str) -> str | Refusal:
    for encoding in ("utf-8-sig", "cp949"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        # A script is text, too: what a system would run by its first line is not taken.
        if _CONTROL.search(text) or text.startswith("#!") or _is_markup(text):
            return Refusal.FILE_KIND_IS_NOT_TAKEN
        return "csv" if name.lower().endswith(".csv") else "txt"
    return Refusal.FILE_KIND_IS_NOT_TAKEN


def _is_markup(text: str) -> bool:
    """Tell whether a browser might take it for a page."""
    head = text[:1_024].lower()
    return any(sign in head for sign in ("<!doctype", "<html", "<script", "<svg", "<?xml", "<?php"))
