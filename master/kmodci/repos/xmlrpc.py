"""XML-RPC (http://xmlrpc.com/spec.md) through the farm's own HTTP: one call, with its time and its size bounded."""

import xmlrpc.client as rpc
from typing import TypeAlias
from xml.parsers.expat import ExpatError

from defusedxml import DefusedXmlException
from defusedxml.xmlrpc import DefusedExpatParser

from kmodci.errors import FetchError

from .base import Fetches

_LIMIT = 32 * 1024 * 1024
"""bytes of an answer; of those that are asked for here, the largest has one million"""
_HINT = "is this the URL of the hub? Its web pages are at another"

Argument: TypeAlias = "bool | int | str | list[Argument] | dict[str, Argument] | None"


class RpcFault(FetchError):
    """The server did what was asked, and says why that cannot be."""

    def __init__(self, url: str, method: str, code: int, text: str) -> None:
        super().__init__(url, f"{method}: fault {code}: {text[:300]!r}")
        self.text = text


def call(fetcher: Fetches, url: str, method: str, arguments: list[Argument]) -> object:
    """What a method answers: None, bool, int, float, str, bytes, datetime, and lists and dicts of these.

    Raises RpcFault; FetchError, also for what is no such answer.
    """
    body = rpc.dumps(tuple(arguments), method, allow_none=True).encode()
    answer = fetcher.post(url, body, kind="text/xml", limit=_LIMIT)
    target = rpc.Unmarshaller(use_builtin_types=True)
    parser = DefusedExpatParser(target, forbid_dtd=True)
    try:
        parser.feed(answer)
        parser.close()
        values: tuple[object, ...] = target.close()
    except rpc.Fault as fault:
        raise RpcFault(url, method, int(fault.faultCode), str(fault.faultString)) from fault
    except DefusedXmlException as fault:
        raise FetchError(url, f"{method}: refused: {type(fault).__name__}, as an XML bomb has it") from fault
    except (ExpatError, rpc.Error, ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as fault:
        why = f"{method}: no answer of XML-RPC ({type(fault).__name__}: {fault}); it begins with {answer[:60]!r}"
        raise FetchError(url, why, hint=_HINT) from fault
    if len(values) != 1:
        raise FetchError(url, f"{method}: {len(values)} answers to one call", hint=_HINT)
    return values[0]
