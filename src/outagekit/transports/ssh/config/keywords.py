"""Every keyword of ssh_config(5), and what it means to us. Source: ssh_config(5), OpenSSH 10."""

from __future__ import annotations

from typing import Final

ALIASES: Final = {
    "identityfile2": "identityfile",
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "tisauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "hostbasedkeytypes": "hostbasedacceptedalgorithms",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "smartcarddevice": "pkcs11provider",
    "keepalive": "tcpkeepalive",
}
"""Former names."""

HONOURED: Final = frozenset(
    [
        "host",
        "match",
        "include",
        "ignoreunknown",
        "tag",
        "hostname",
        "port",
        "user",
        "identityfile",
        "identitiesonly",
        "certificatefile",
        "identityagent",
        "proxyjump",
        "proxycommand",
        "connecttimeout",
        "hostkeyalias",
    ]
)

_ON = frozenset({"yes", "true"})
_OFF = frozenset({"no", "false"})

TOLD: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "addressfamily": ("AddressFamily", frozenset({"any"})),
    "bindaddress": ("BindAddress", frozenset()),
    "bindinterface": ("BindInterface", frozenset()),
    "canonicalizehostname": ("CanonicalizeHostname", _OFF),
    "casignaturealgorithms": ("CASignatureAlgorithms", frozenset()),
    "ciphers": ("Ciphers", frozenset()),
    "connectionattempts": ("ConnectionAttempts", frozenset({"1"})),
    "forwardagent": ("ForwardAgent", _OFF),
    "globalknownhostsfile": ("GlobalKnownHostsFile", frozenset()),
    "hostbasedauthentication": ("HostbasedAuthentication", _OFF),
    "hostkeyalgorithms": ("HostKeyAlgorithms", frozenset()),
    "kbdinteractiveauthentication": ("KbdInteractiveAuthentication", _ON),
    "kexalgorithms": ("KexAlgorithms", frozenset()),
    "knownhostscommand": ("KnownHostsCommand", frozenset({"none"})),
    "macs": ("MACs", frozenset()),
    "nohostauthenticationforlocalhost": ("NoHostAuthenticationForLocalhost", _OFF),
    "passwordauthentication": ("PasswordAuthentication", _ON),
    "pkcs11provider": ("PKCS11Provider", frozenset({"none"})),
    "preferredauthentications": ("PreferredAuthentications", frozenset()),
    "proxyusefdpass": ("ProxyUseFdpass", _OFF),
    "pubkeyacceptedalgorithms": ("PubkeyAcceptedAlgorithms", frozenset()),
    "pubkeyauthentication": ("PubkeyAuthentication", _ON),
    "requiredrsasize": ("RequiredRSASize", frozenset()),
    "revokedhostkeys": ("RevokedHostKeys", frozenset({"none"})),
    "securitykeyprovider": ("SecurityKeyProvider", frozenset({"none", "internal"})),
    "setenv": ("SetEnv", frozenset()),
    "stricthostkeychecking": ("StrictHostKeyChecking", frozenset({"yes", "true", "ask"})),
    "userknownhostsfile": ("UserKnownHostsFile", frozenset()),
    "verifyhostkeydns": ("VerifyHostKeyDNS", _OFF),
}
"""Keywords whose absence a person would notice: how they are written, and values that change
nothing."""

OF_SYSTEMS: Final = frozenset(
    [
        "casignaturealgorithms",
        "ciphers",
        "hostkeyalgorithms",
        "kexalgorithms",
        "macs",
        "pubkeyacceptedalgorithms",
        "requiredrsasize",
    ]
)
"""Of `TOLD`, what systems set for everybody in their own file: told only of a person's file."""

_WITHOUT_BEARING: Final = """
    addkeystoagent afstokenpassing batchmode canonicaldomains canonicalizefallbacklocal
    canonicalizemaxdots canonicalizepermittedcnames channeltimeout checkhostip cipher
    clearallforwardings compression compressionlevel controlmaster controlpath controlpersist
    dynamicforward enableescapecommandline enablesshkeysign escapechar exitonforwardfailure
    fallbacktorsh fingerprinthash forkafterauthentication forwardx11 forwardx11timeout
    forwardx11trusted gatewayports globalknownhostsfile2 gssapiauthentication
    gssapidelegatecredentials hashknownhosts hostbasedacceptedalgorithms ipqos
    kbdinteractivedevices kerberosauthentication kerberostgtpassing localcommand localforward
    loglevel logverbose numberofpasswordprompts obscurekeystroketiming permitlocalcommand
    permitremoteopen protocol refuseconnection rekeylimit remotecommand remoteforward requesttty
    rhostsauthentication rhostsrsaauthentication rsaauthentication sendenv serveralivecountmax
    serveraliveinterval sessiontype stdinnull streamlocalbindmask streamlocalbindunlink
    syslogfacility tcpkeepalive tunnel tunneldevice updatehostkeys useprivilegedport useroaming
    userknownhostsfile2 usersh versionaddendum visualhostkey warnweakcrypto xauthlocation
"""

_DISTRIBUTIONS: Final = """
    gssapiclientidentity gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey
    gssapiserveridentity gssapitrustdns protocolkeepalives setuptimeout
"""
"""What Debian and Red Hat add."""

KNOWN: Final = (
    HONOURED
    | TOLD.keys()
    | ALIASES.keys()
    | frozenset(_WITHOUT_BEARING.split())
    | frozenset(_DISTRIBUTIONS.split())
)

MACOS: Final = frozenset({"usekeychain", "askpassgui", "keychainintegration"})
"""What only the `ssh` of macOS knows."""
