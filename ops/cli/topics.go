package cli

import (
	"github.com/spf13/cobra"
)

// topic is a page of help about a subject that several commands share. Its indented lines that
// begin with cdds are examples, which follow each other: a test runs them.
type topic struct{ name, short, long string }

// receivingTopics are those of every build.
var receivingTopics = []topic{
	{"receiving", "How to prove and open what you received", `A receiver makes a key pair, keeps the private key, and gives the certificate to the sender:

  cdds keygen --out-cert receiver.pem --out-key receiver.key

An export is a directory of encrypted files with a manifest that the service has signed.
Proving it needs the certificate of the service, which you get once, over another channel:

  cdds verify received --signer service.pem

Verifying fails with exit code 4 if a file is missing, added or changed. Decrypting
verifies first, and writes nothing that is not proven:

  cdds decrypt received --signer service.pem --cert receiver.pem --key receiver.key --out opened

You can also open each file with openssl and unzip, without CDDS. To keep a table that
follows every change, see cdds sync --help.
`},
	{"output", "Output for people and for scripts, and exit codes", `Commands write for people, and with -o for programs: json, yaml, and for lists csv and
jsonl, too. With json the last line of output is one object, also where a command fails:

  cdds version -o json
  cdds context list -o csv

Progress goes to the standard error; --quiet leaves it out. A script relies on these:

` + exitCodes + "\n"},
	{"servers", "How a command finds the server, the token and the tenant", `A command acts through a server if one is named: by --server and CDDS_TOKEN, by
--context, or by the current context, which cdds login saves. Tokens are read from the
environment, from a file (--token-file) or from the standard input, never from the
command line, which others can read.

  cdds whoami
  cdds context list

The tenant is the one of --tenant, of CDDS_TENANT, of the context, or of the token, in
this order.
`},
}

// commandsOf are the topics as commands that do nothing: help lists and shows them.
func commandsOf(topics []topic) (all []*cobra.Command) {
	for _, t := range topics {
		all = append(all, &cobra.Command{Use: t.name, Short: t.short, Long: t.long, DisableFlagsInUseLine: true})
	}
	return all
}
