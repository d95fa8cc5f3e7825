"""Makes protobuf messages of declarations in Python: for messages whose generated classes would bring TensorFlow."""

from collections.abc import Mapping, Sequence

from google.protobuf import descriptor_pb2

Declarations = Mapping[str, Sequence[tuple[str, str, int] | tuple[str, str, int, str]]]
"""By a message's name its fields: name, type, number, and the oneof it belongs to. "repeated T" and "map T" (keys are
strings) as in the .proto language; a name with a dot is a nested message, or one of another package."""

Enums = Mapping[str, Mapping[str, int]]
"""By an enum's name its values."""

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}
_FOREIGN = ("google.", "tensorflow.")
_FOREIGN_ENUMS = ("tensorflow.DataType",)


def file_of_messages(
    name: str, package: str, messages: Declarations, *, enums: Enums | None = None, dependencies: Sequence[str] = ()
) -> descriptor_pb2.FileDescriptorProto:
    """Return the descriptor of a proto3 file, for a descriptor pool.

    Args:
        name: of the file.
        package: of the messages.
        messages: their fields.
        enums: those that the fields name.
        dependencies: the names of the files that declare what the fields name of other packages.
    """
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3", dependency=dependencies)
    for enum_name, values in (enums or {}).items():
        enum = file.enum_type.add(name=enum_name)
        for value_name, number in values.items():
            enum.value.add(name=value_name, number=number)
    declared: dict[str, descriptor_pb2.DescriptorProto] = {}
    for message_name in sorted(messages, key=lambda name: name.count(".")):
        outer, _, own_name = message_name.rpartition(".")
        declared[message_name] = (declared[outer].nested_type if outer else file.message_type).add(name=own_name)
    for message_name, fields in messages.items():
        for field in fields:
            _declare_field(declared[message_name], f".{package}.{message_name}", package, enums or {}, *field)
    return file


def _declare_field(
    message: descriptor_pb2.DescriptorProto,
    scope: str,
    package: str,
    enums: Enums,
    name: str,
    declared_type: str,
    number: int,
    oneof: str | None = None,
) -> None:
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    modifier, _, type_name = declared_type.rpartition(" ")
    if modifier:
        field.label = _Field.LABEL_REPEATED
    if modifier == "map":
        entry = message.nested_type.add(name="".join(part.capitalize() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _declare_field(entry, "", package, enums, "key", "string", 1)
        _declare_field(entry, "", package, enums, "value", type_name, 2)
        field.type, field.type_name = _Field.TYPE_MESSAGE, f"{scope}.{entry.name}"
    elif type_name in _SCALARS:
        field.type = _SCALARS[type_name]
    else:
        field.type = _Field.TYPE_ENUM if type_name in (*enums, *_FOREIGN_ENUMS) else _Field.TYPE_MESSAGE
        field.type_name = f".{type_name}" if type_name.startswith(_FOREIGN) else f".{package}.{type_name}"
    if oneof:
        if not message.oneof_decl:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = 0
