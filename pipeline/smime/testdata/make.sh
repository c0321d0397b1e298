#!/bin/sh
# Makes the vectors in this directory with openssl 3. The keys exist only for
# tests: they are public and must never guard anything.
#   cd pipeline/smime/testdata && ./make.sh
set -eu
for who in alice bob carol; do
	openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 36500 -subj "/O=CDDS test only/CN=$who" \
		-addext keyUsage=critical,keyEncipherment -keyout test-only-$who.key -out test-only-$who.crt 2>/dev/null
done
rm test-only-bob.key test-only-carol.key # alice opens every vector, the others only share it
i=1
while [ $i -le 5 ]; do echo "line $i of the content"; i=$((i + 1)); done >content.txt

seal() { # name, then options
	out=$1
	shift
	openssl cms -encrypt -binary -in content.txt -out "$out" "$@"
}
seal aes256.der -aes256 -outform DER test-only-alice.crt
seal aes192.der -aes192 -outform DER test-only-alice.crt
seal aes128.der -aes128 -outform DER test-only-alice.crt
seal keyid.der -aes256 -keyid -outform DER test-only-alice.crt
seal three.der -aes256 -outform DER test-only-bob.crt test-only-carol.crt test-only-alice.crt
seal stream.der -aes256 -stream -outform DER test-only-alice.crt
seal cms.p7m -aes256 -outform SMIME test-only-alice.crt
seal cms-stream.p7m -aes256 -stream -outform SMIME test-only-bob.crt test-only-alice.crt
seal crlf.p7m -aes256 -crlfeol -outform SMIME test-only-alice.crt
openssl smime -encrypt -binary -aes256 -in content.txt -out smime.p7m test-only-alice.crt
seal gcm.der -aes-256-gcm -outform DER test-only-alice.crt
seal oaep.der -aes256 -outform DER -recip test-only-alice.crt -keyopt rsa_padding_mode:oaep
# Not for this reader, by name:
seal des3.der -des3 -outform DER test-only-alice.crt
seal notforalice.der -aes256 -outform DER test-only-bob.crt
