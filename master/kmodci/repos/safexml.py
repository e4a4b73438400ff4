"""XML of mirrors: without entities and document types, by which a small file becomes gigabytes or reads others.

Elements are told by their local names: vendors' tools differ in how they write namespaces.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from kmodci.errors import IndexDamaged


def parsed(content: bytes, what: str) -> Element:
    """The root element. what: for messages. Raises IndexDamaged."""
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except DefusedXmlException as fault:
        raise IndexDamaged(f"{what} is refused: {type(fault).__name__}, as an XML bomb has it") from fault
    except (ParseError, ValueError, LookupError) as fault:
        raise IndexDamaged(f"{what} is not XML ({fault}); it begins with {content[:60]!r}") from fault
    return root


def local_name(element: Element) -> str:
    """Without the namespace."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """Those of this local name."""
    return (child for child in element if local_name(child) == name)


def child(element: Element, name: str) -> Element:
    """The only one of this local name. Raises IndexDamaged if there is none, or more."""
    found = list(children(element, name))
    if len(found) != 1:
        raise IndexDamaged(f"<{local_name(element)[:40]}> has {len(found) or 'no'} <{name}>")
    return found[0]


def text_of(element: Element, name: str) -> str:
    """The text of the first child of this local name; empty where there is none."""
    found = next(children(element, name), None)
    return "" if found is None else (found.text or "").strip()
