# Reads only. True: the next start asks for no recovery key.
$volume = Get-WmiObject -Namespace 'root\CIMV2\Security\MicrosoftVolumeEncryption' -Class Win32_EncryptableVolume -Filter "DriveLetter='$env:SystemDrive'"
-not $volume -or $volume.GetProtectionStatus().ProtectionStatus -ne 1
