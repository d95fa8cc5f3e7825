"""XMP packets: what a file already says is kept, what would be untrue is mended, who coloured it is added.

A packet is changed as a document, so that prefixes, comments and properties that nobody here knows come out as they
came in. A packet with a document type is refused: entities are how hostile XML grows.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.dom import minidom

from photo.provenance import MACHINE_COLORED, Provenance

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_XMP_MM = "http://ns.adobe.com/xap/1.0/mm/"
_EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP_NOTE = "http://ns.adobe.com/xmp/note/"
_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_PREFIXES = {
    _RDF: "rdf", _XMP: "xmp", _XMP_MM: "xmpMM", _EVENT: "stEvt", _IPTC_EXTENSION: "Iptc4xmpExt", _TIFF: "tiff",
    _EXIF: "exif", _PHOTOSHOP: "photoshop", _XMP_NOTE: "xmpNote",
}  # fmt: skip

# Thumbnails show the gray photograph; the others name a colour profile, or a place in a packet that is split.
_DROPPED = [(_XMP, "Thumbnails"), (_PHOTOSHOP, "ICCProfile"), (_XMP_NOTE, "HasExtendedXMP")]

# Characters that no XML 1.0 document may have, and an EXIF text may.
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_LARGEST_PACKET = 1 << 24
_EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'
_BEGIN, _END = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>', '<?xpacket end="w"?>'

_Property = tuple[minidom.Element, minidom.Attr | minidom.Element]


@dataclass(frozen=True)
class Coloring:
    """What a packet says of who coloured its photograph.

    Attributes:
        software: as `Provenance.software`.
        colored_at: when, ISO 8601; "" where it does not say.
        source_type: IPTC's digital source type; "" where it does not say.
    """

    software: str
    colored_at: str
    source_type: str


def is_broken(packet: bytes) -> bool:
    """Return whether a packet cannot be read."""
    return _document(packet) is None


def true_packet(packet: bytes | None, width: int, height: int) -> bytes | None:
    """Return a packet whose sizes, orientation and colour are those of a result; None where there is none to read."""
    document = None if packet is None else _document(packet)
    if document is None:
        return None
    truths = [
        (_TIFF, "Orientation", "1"), (_TIFF, "ImageWidth", str(width)), (_TIFF, "ImageLength", str(height)),
        (_EXIF, "PixelXDimension", str(width)), (_EXIF, "PixelYDimension", str(height)), (_EXIF, "ColorSpace", "1"),
        (_PHOTOSHOP, "ColorMode", "3"),
    ]  # fmt: skip
    for space, name, truth in truths:
        if _remove(document, space, name):
            _set(document, space, name, truth)
    for space, name in _DROPPED:
        _remove(document, space, name)
    return _bytes(document)


def marked_packet(packet: bytes | None, provenance: Provenance, former_software: str) -> bytes:
    """Return a packet that says that a machine made the colours, and which one.

    Args:
        packet: of the photograph; None, or one that is broken, begins a new one.
        provenance: of the colours.
        former_software: what EXIF names, such as a scanner's program; it and the packet's own go into the history.
    """
    document = (None if packet is None else _document(packet)) or _parsed(_EMPTY)
    creators = [_text(node) for _, node in _found(document, _XMP, "CreatorTool")]
    for space, name in ((_XMP, "CreatorTool"), (_IPTC_EXTENSION, "DigitalSourceType")):
        _remove(document, space, name)
    _set(document, _XMP, "CreatorTool", provenance.software)
    _set(document, _IPTC_EXTENSION, "DigitalSourceType", MACHINE_COLORED)
    known = {event.get("softwareAgent") for event in _events(document)}
    for former in dict.fromkeys((former_software, *creators)):
        if former and former not in known:
            _add_event(document, {"action": "created", "softwareAgent": former})
    event = {"action": "edited", "softwareAgent": provenance.software, "parameters": "colours made by a machine"}
    if provenance.colored_at is not None:
        event["when"] = provenance.colored_at.isoformat()
    _add_event(document, event)
    return _bytes(document)


def read_coloring(packet: bytes) -> Coloring | None:
    """Return what a packet says of who coloured its photograph; None where it names nobody, or is broken."""
    document = _document(packet)
    if document is None:
        return None
    tools = [_text(node) for _, node in _found(document, _XMP, "CreatorTool")]
    types = [_text(node) for _, node in _found(document, _IPTC_EXTENSION, "DigitalSourceType")]
    ours = [event for event in _events(document) if event.get("softwareAgent", "").startswith("Tintype ")]
    software = next((tool for tool in tools if tool.startswith("Tintype ")), "")
    software = software or (ours[-1]["softwareAgent"] if ours else "")
    source_type = next(iter(types), "")
    if not software and source_type != MACHINE_COLORED:
        return None
    return Coloring(software, ours[-1].get("when", "") if ours else "", source_type)


def joined_packet(packet: bytes, extension: bytes) -> bytes | None:
    """Return what a JPEG keeps in two packets as one; None when either cannot be read (XMP part 3, 1.1.3.1)."""
    document, more = _document(packet), _document(extension)
    if document is None or more is None:
        return None
    rdf = document.getElementsByTagNameNS(_RDF, "RDF")[0]
    for description in _descriptions(more):
        rdf.appendChild(document.importNode(description, True))
    _remove(document, _XMP_NOTE, "HasExtendedXMP")
    return _bytes(document)


def split_packet(packet: bytes) -> tuple[bytes, bytes]:
    """Return a small packet with the marks, which names the digest of the second, and that one with all the rest."""
    document, first = _document(packet), _parsed(_EMPTY)
    if document is None:
        raise ValueError("no packet that can be read")
    for space, name in ((_XMP, "CreatorTool"), (_IPTC_EXTENSION, "DigitalSourceType")):
        for _, node in _found(document, space, name):
            _set(first, space, name, _text(node))
        _remove(document, space, name)
    extension = "".join(node.toxml() for node in document.childNodes if isinstance(node, minidom.Element)).encode()
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    _set(first, _XMP_NOTE, "HasExtendedXMP", digest)
    return _bytes(first), extension


def extension_digest(packet: bytes) -> str:
    """Return the digest of the second packet that a JPEG's first one names; "" where there is none."""
    document = _document(packet)
    found = [] if document is None else _found(document, _XMP_NOTE, "HasExtendedXMP")
    return _text(found[0][1]) if found else ""


def _document(packet: bytes) -> minidom.Document | None:
    """Return a packet as a document with an rdf:RDF in it; None when it is broken, hostile or huge."""
    if len(packet) > _LARGEST_PACKET:
        return None
    try:
        for codec in ("utf-8-sig", "utf-16" if packet[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-be", "utf-16-le"):
            try:
                text = packet.decode(codec).strip("\0 \t\r\n")
            except UnicodeDecodeError:
                continue
            if "<" in text and "\0" not in text:
                document = _parsed(text)
                return document if document.getElementsByTagNameNS(_RDF, "RDF") else None
    except Exception:  # parsers meet hostile text with any exception whatever
        return None
    return None


def _parsed(text: str) -> minidom.Document:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("a document type")
    return minidom.parseString(re.sub(r"^<\?xml\b[^>]*\?>", "", text).encode())


def _bytes(document: minidom.Document) -> bytes:
    nodes = [node for node in document.childNodes if getattr(node, "target", "") != "xpacket"]
    return "".join([_BEGIN, *(node.toxml() for node in nodes), _END]).encode()


def _descriptions(document: minidom.Document) -> list[minidom.Element]:
    rdf = document.getElementsByTagNameNS(_RDF, "RDF")[0]
    return [
        node
        for node in rdf.childNodes
        if isinstance(node, minidom.Element) and (node.namespaceURI, node.localName) == (_RDF, "Description")
    ]


def _found(document: minidom.Document, space: str, name: str) -> list[_Property]:
    """Return a property wherever it stands, as an attribute or as an element, each after its description."""
    found: list[_Property] = []
    for description in _descriptions(document):
        if (attribute := description.getAttributeNodeNS(space, name)) is not None:
            found.append((description, attribute))
        for node in list(description.childNodes):
            if isinstance(node, minidom.Element) and (node.namespaceURI, node.localName) == (space, name):
                found.append((description, node))
    return found


def _remove(document: minidom.Document, space: str, name: str) -> bool:
    """Remove a property; return whether there was one."""
    found = _found(document, space, name)
    for description, node in found:
        if isinstance(node, minidom.Attr):
            description.removeAttributeNode(node)
        else:
            description.removeChild(node)
    return bool(found)


def _set(document: minidom.Document, space: str, name: str, value: str) -> None:
    """Give the packet a property that it does not have."""
    _own_description(document).appendChild(_element(document, space, name, value))


def _own_description(document: minidom.Document) -> minidom.Element:
    """Return the first description; a new one, about this file, where there is none."""
    descriptions = _descriptions(document)
    if descriptions:
        return descriptions[0]
    description = _element(document, _RDF, "Description")
    description.setAttributeNS(_RDF, "rdf:about", "")
    document.getElementsByTagNameNS(_RDF, "RDF")[0].appendChild(description)
    return description


def _element(document: minidom.Document, space: str, name: str, value: str = "") -> minidom.Element:
    """Return an element that declares its own prefix, whatever the packet calls that namespace."""
    element = document.createElementNS(space, f"{_PREFIXES[space]}:{name}")
    element.setAttributeNS("http://www.w3.org/2000/xmlns/", f"xmlns:{_PREFIXES[space]}", space)
    if value:
        element.appendChild(document.createTextNode(_NOT_IN_XML.sub("", value)))
    return element


def _add_event(document: minidom.Document, event: dict[str, str]) -> None:
    """Add to the history of the photograph."""
    histories = [node for _, node in _found(document, _XMP_MM, "History") if isinstance(node, minidom.Element)]
    history = histories[0] if histories else _element(document, _XMP_MM, "History")
    if not histories:
        _own_description(document).appendChild(history)
    sequences = history.getElementsByTagNameNS(_RDF, "Seq")
    sequence = sequences[0] if sequences else _element(document, _RDF, "Seq")
    if not sequences:
        history.appendChild(sequence)
    item = _element(document, _RDF, "li")
    item.setAttributeNS(_RDF, "rdf:parseType", "Resource")
    for name, value in event.items():
        item.appendChild(_element(document, _EVENT, name, value))
    sequence.appendChild(item)


def _events(document: minidom.Document) -> list[dict[str, str]]:
    """Return what each event of the history says, whichever way it is written."""
    return [
        dict(_event_parts(item))
        for _, history in _found(document, _XMP_MM, "History")
        if isinstance(history, minidom.Element)
        for item in history.getElementsByTagNameNS(_RDF, "li")
    ]


def _event_parts(item: minidom.Element) -> Iterator[tuple[str, str]]:
    for element in (item, *item.getElementsByTagNameNS("*", "*")):
        if element.namespaceURI == _EVENT:
            yield element.localName, _text(element)
        for attribute in element.attributes.values():
            if attribute.namespaceURI == _EVENT:
                yield attribute.localName, attribute.value


def _text(node: minidom.Node) -> str:
    """Return the text of a property, also of one that is the first of a list."""
    if isinstance(node, minidom.Attr):
        return str(node.value).strip()
    if isinstance(node, minidom.Element) and (resource := node.getAttributeNS(_RDF, "resource")):
        return str(resource)
    parts = [child.data if isinstance(child, minidom.Text) else _text(child) for child in node.childNodes]
    return "".join(parts).strip()
