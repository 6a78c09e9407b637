"""The variables of one host that matter here, each judged before it is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from outagekit.credentials import BadReference, SecretRef
from outagekit.source import shown

if TYPE_CHECKING:
    from outagekit.inventory.foreign.ansible.estate import Settings
    from outagekit.inventory.foreign.ansible.node import Setting
    from outagekit.inventory.foreign.findings import Findings, Place

HOST: Final = ("ansible_host", "ansible_ssh_host", "ansible_winrm_host", "ansible_psrp_host")
PORT: Final = ("ansible_port", "ansible_ssh_port", "ansible_winrm_port", "ansible_psrp_port")
USER: Final = ("ansible_user", "ansible_ssh_user", "ansible_winrm_user", "ansible_psrp_user")
KEY: Final = ("ansible_private_key_file", "ansible_ssh_private_key_file")
PASSWORD: Final = (
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_winrm_pass",
    "ansible_winrm_password",
)
PASSPHRASE: Final = ("ansible_private_key_passphrase", "ansible_ssh_private_key_passphrase")
SUDO: Final = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
KEY_ITSELF: Final = ("ansible_private_key", "ansible_ssh_private_key")
BECOME_USER: Final = ("ansible_become_user", "ansible_sudo_user")
ARGUMENTS: Final = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
CONNECTION: Final = ("ansible_connection",)
BECOME: Final = ("ansible_become",)
METHOD: Final = ("ansible_become_method",)
SHELL: Final = ("ansible_shell_type",)
NETWORK: Final = ("ansible_network_os",)
SCHEME: Final = ("ansible_winrm_scheme", "ansible_psrp_protocol")
TRANSPORT: Final = ("ansible_winrm_transport", "ansible_psrp_auth")
VALIDATION: Final = ("ansible_winrm_server_cert_validation", "ansible_psrp_cert_validation")
AUTHORITIES: Final = (
    "ansible_winrm_ca_trust_path",
    "ansible_psrp_ca_cert",
    "ansible_psrp_cert_trust_path",
)
CERTIFICATE: Final = ("ansible_winrm_cert_pem", "ansible_psrp_certificate_pem")
CERTIFICATE_KEY: Final = ("ansible_winrm_cert_key_pem", "ansible_psrp_certificate_key_pem")
SECRETS: Final = frozenset((*PASSWORD, *PASSPHRASE, *SUDO, *KEY_ITSELF))
HONOURED: Final = SECRETS | frozenset(
    (
        *HOST,
        *PORT,
        *USER,
        *KEY,
        *BECOME_USER,
        *ARGUMENTS,
        *CONNECTION,
        *BECOME,
        *METHOD,
        *SHELL,
        *NETWORK,
        *SCHEME,
        *TRANSPORT,
        *VALIDATION,
        *AUTHORITIES,
        *CERTIFICATE,
        *CERTIFICATE_KEY,
    )
)

_TRUE: Final = frozenset(["y", "yes", "on", "1", "true", "t"])
_TEMPLATE: Final = ("{{", "{%")
_SAVE: Final = "write the value itself, or have it from: ansible-inventory -i FILE --host NAME"
_REFERENCE: Final = (
    "put it into the keyring (outagekit secret set NAME) and write keyring:NAME in its place,"
    " or say where it is when importing: {flag} USER=keyring:NAME"
)


class Facts:
    """Reads a host's variables; what cannot be used becomes a fault at its place."""

    def __init__(self, settings: Settings, findings: Findings) -> None:
        self._settings = settings
        self._findings = findings

    def setting(self, names: tuple[str, ...]) -> tuple[str, Setting] | None:
        """Return the one that counts of several names of a variable, and its name.

        Two of them that say different things are a fault.
        """
        given = [(name, self._settings[name]) for name in names if name in self._settings]
        given = [(name, each) for name, each in given if each.encrypted or each.value is not None]
        if len({repr(each.value) for _, each in given}) > 1 or (
            len(given) > 1 and any(each.encrypted for _, each in given)
        ):
            (first, _), *_, (last, setting) = given
            self._findings.fault(setting.place, f"`{first}` and `{last}` say different things")
            return None
        return given[-1] if given else None

    def text(self, names: tuple[str, ...]) -> str | None:
        """Return a variable that is text (a whole number counts as one); None if not usable."""
        found = self.setting(names)
        if found is None or self._is_hidden(*found):
            return None
        name, setting = found
        value = setting.value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value.isprintable():
            self._findings.fault(setting.place, f"`{name}` must be one line of text")
            return None
        return value.strip()

    def _is_hidden(self, name: str, setting: Setting) -> bool:
        """Note a fault where a value is encrypted or made by a template, and return whether."""
        if setting.encrypted:
            self._findings.fault(setting.place, f"`{name}` is encrypted by Ansible's vault", _SAVE)
            return True
        if isinstance(setting.value, str) and any(sign in setting.value for sign in _TEMPLATE):
            message = f"`{name}` is a template, and templates are not rendered"
            self._findings.fault(setting.place, message, _SAVE)
            return True
        return False

    def place(self, names: tuple[str, ...]) -> Place | None:
        """Return where the variable that counts stands."""
        given = [self._settings[name].place for name in names if name in self._settings]
        return given[-1] if given else None

    def truth(self, names: tuple[str, ...]) -> bool:
        """Return a variable that is true or false, in any of Ansible's spellings."""
        found = self.setting(names)
        if found is None or self._is_hidden(*found):
            return False
        value: Any = found[1].value
        if isinstance(value, str):
            return value.strip().lower() in _TRUE
        return value is True or value == 1

    def port(self, names: tuple[str, ...]) -> int | None:
        """Return a port."""
        text = self.text(names)
        if not text:
            return None
        number = int(text) if text.isdecimal() and len(text) <= 5 else 0  # noqa: PLR2004
        if not 1 <= number <= 65535:  # noqa: PLR2004  (what a port can be)
            place = self.place(names)
            if place is not None:
                self._findings.fault(place, f"{shown(text)} is no port", "from 1 to 65535")
            return None
        return number

    def secret(
        self, names: tuple[str, ...], flag: str, instead: SecretRef | None
    ) -> SecretRef | None:
        """Return where a secret is found; a secret itself is a fault that does not repeat it.

        With `instead` that is returned, whatever stands in the file.
        """
        found = None if instead else self.setting(names)
        if found is None or found[1].value == "":
            return instead
        name, setting = found
        what = "holds a secret, and no secret is taken from a file"
        if setting.encrypted:
            what = "is encrypted by Ansible's vault"
        elif isinstance(setting.value, str):
            if any(sign in setting.value for sign in _TEMPLATE):
                what = "is a template, and templates are not rendered"
            try:
                return SecretRef.parse(setting.value)
            except BadReference:
                pass  # it is the secret itself: nothing of it may travel on
        self._findings.fault(setting.place, f"`{name}` {what}", _REFERENCE.format(flag=flag))
        return None

    def refuse_keys(self) -> None:
        """Note a fault for a private key that stands in the file itself."""
        found = self.setting(KEY_ITSELF)
        if found is not None and found[1].value != "":
            hint = "put it into a file of yours and name that: ansible_ssh_private_key_file"
            self._findings.fault(found[1].place, "a private key stands in the inventory", hint)
