"""WinRM: sealed or verified messages to one endpoint's shell; all over pywinrm."""
