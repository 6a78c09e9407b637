# Reads only. True: another build runs than before.
$current = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
([string]$current.CurrentBuild + '.' + [string]$current.UBR) -ne $OK.build_before
