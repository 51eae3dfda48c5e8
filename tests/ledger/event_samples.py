"""One event of each class, every field filled, made from the types alone."""

from typing import Any

import msgspec
from msgspec import inspect as types


def sample_of(kind: types.Type) -> Any:
    """Return the plainest value of a type: of a choice the first, of a container one element."""
    simple = {
        types.AnyType: "any",
        types.BoolType: True,
        types.BytesType: "AA==",
        types.FloatType: 1.5,
        types.IntType: 7,
        types.NoneType: None,
        types.StrType: "가",
    }
    if type(kind) in simple:
        return simple[type(kind)]
    match kind:
        case types.UnionType(types=choices):
            return sample_of(next(one for one in choices if not isinstance(one, types.NoneType)))
        case types.LiteralType(values=values):
            return sorted(values, key=str)[0]
        case types.EnumType(cls=cls):
            return next(iter(cls)).value
        case types.DictType(key_type=key, value_type=value):
            return {sample_of(key): sample_of(value)}
        case types.TupleType(item_types=items):
            return [sample_of(item) for item in items]
        case types.StructType(fields=fields, tag_field=field, tag=tag):
            content = {one.encode_name: sample_of(one.type) for one in fields}
            return {field: tag, **content} if field else content
        case types.DataclassType(fields=fields):
            return {one.encode_name: sample_of(one.type) for one in fields}
        case _ if hasattr(kind, "item_type"):
            return [sample_of(kind.item_type)]
    raise AssertionError(f"{kind}: say here what a plain value of it is")


def sample_line(event: type[msgspec.Struct]) -> str:
    """Return the event as one line of JSON, as a ledger would keep it."""
    content = sample_of(types.type_info(event))
    whole = msgspec.convert(content, event, strict=True)
    return msgspec.json.encode(whole, order="deterministic").decode()
