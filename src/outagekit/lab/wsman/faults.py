"""The faults of a WS-Man service, and how each of them looks on the wire. Pure.

Three shapes occur in practice: a WSManFault with a code, an MSFT_WmiError with a code of its own
(quotas), and a plain SOAP fault without either (what other implementations send). The numbers are
Windows'; the sentences are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

Shape = Literal["wsman", "wmi", "plain"]


@dataclass(frozen=True, slots=True)
class SoapFault:
    """One fault: where the blame lies, what it is called, and its number."""

    reason: str
    code: int = 0
    subcode: str = "w:InternalError"
    sender: bool = False
    shape: Shape = "wsman"
    status: int = 500
    """Of the HTTP answer."""


class FaultError(Exception):
    """A message cannot be done; `fault` is the answer."""

    def __init__(self, fault: SoapFault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


NO_OUTPUT: Final = SoapFault(
    "The operation did not come to its end within OperationTimeout.", 2150858793, "w:TimedOut"
)
UNKNOWN_SELECTOR: Final = SoapFault(
    "The selectors name no shell or command that is there.",
    2150858843,
    "w:InvalidSelectors",
    sender=True,
)
TORN_DOWN: Final = SoapFault("The object is being removed.", 2147943418)
ABORTED: Final = SoapFault("The operation was aborted on request.", 995)
BUSY: Final = SoapFault("The resource is in use.", 170)
DENIED: Final = SoapFault("Access is denied.", 5, "w:AccessDenied", sender=True)
WRONG: Final = SoapFault("The parameter is incorrect.", 87, sender=True)
NOT_FOUND: Final = SoapFault("The file cannot be found.", 2147942402)
TOO_MANY_SHELLS: Final = SoapFault(
    "This user has as many shells as the quota allows.",
    2150859173,
    "w:QuotaLimit",
    sender=True,
    shape="wmi",
)
TOO_MANY_OPERATIONS: Final = SoapFault(
    "This user has as many operations as the quota allows.",
    2150859174,
    "w:QuotaLimit",
    sender=True,
    shape="wmi",
)
NOT_SCHEMA: Final = SoapFault(
    "The message is not what the schema asks for.",
    2150858817,
    "w:SchemaValidationError",
    sender=True,
)
UNKNOWN_ACTION: Final = SoapFault(
    "The action is not one of this service.", 0, "a:ActionNotSupported", sender=True, shape="plain"
)
UNKNOWN_RESOURCE: Final = SoapFault(
    "The resource URI names nothing here.", 2150858752, "a:DestinationUnreachable", sender=True
)
NOT_UNDERSTOOD: Final = SoapFault(
    "A header that must be understood is not known.", 0, "s:MustUnderstand", shape="plain"
)

_WSMAN: Final = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
_WMI: Final = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"
_CIM: Final = "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd"


def fault_body(fault: SoapFault) -> str:
    """Return the XML of a fault, to stand in the body of an envelope with our prefixes."""
    value, subcode = "s:Sender" if fault.sender else "s:Receiver", fault.subcode
    if subcode == "s:MustUnderstand":
        value, subcode = subcode, ""
    inner = f"<s:Subcode><s:Value>{subcode}</s:Value></s:Subcode>" if subcode else ""
    return (
        f"<s:Fault><s:Code><s:Value>{value}</s:Value>{inner}</s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{escape(fault.reason)}</s:Text></s:Reason>'
        f"{_detail(fault)}</s:Fault>"
    )


def _detail(fault: SoapFault) -> str:
    reason = escape(fault.reason)
    if fault.shape == "wmi":
        return (
            f"<s:Detail><e:MSFT_WmiError b:IsCIM_Error={quoteattr('true')}"
            f' xmlns:e="{_WMI}" xmlns:b="{_CIM}"><e:CIMStatusCode>27</e:CIMStatusCode>'
            f"<e:Message>{reason}</e:Message><e:MessageID>HRESULT 0x{fault.code:x}</e:MessageID>"
            f"<e:error_Category>30</e:error_Category><e:error_Code>{fault.code}</e:error_Code>"
            f"<e:error_Type>HRESULT</e:error_Type></e:MSFT_WmiError></s:Detail>"
        )
    if fault.shape == "wsman":
        return (
            f'<s:Detail><f:WSManFault xmlns:f="{_WSMAN}" Code="{fault.code}" Machine="localhost">'
            f"<f:Message>{reason}</f:Message></f:WSManFault></s:Detail>"
        )
    return ""
