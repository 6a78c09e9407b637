# first
echo grüße
