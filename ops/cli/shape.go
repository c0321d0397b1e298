//go:build !receiver

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"cdds/ops/config"
	"cdds/schemas"
)

// shapeFlags say what the files of an export are like; exports and jobs have the same.
type shapeFlags struct {
	splitSize, encoding, cipher, keyTransport, compression, attachments, names string
}

func (f *shapeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.splitSize, "split-size", "", "JSON Lines `size` of a part, such as 16MiB (default 64MiB)")
	flags.StringVar(&f.attachments, "attachments", schemas.AttachmentsIncluded, "`rule`: included, as parts of their own with the contents, or none")
	flags.StringVar(&f.compression, "compression", schemas.CompressionStandard, "`level`: standard, or fast (larger files, sooner)")
	flags.StringVar(&f.encoding, "encoding", schemas.EncodingSMIME, "`encoding`: smime (MIME headers, base64) or der (binary)")
	flags.StringVar(&f.cipher, "cipher", schemas.CipherCBC, "`cipher`: aes-256-cbc, which every reader opens, or aes-256-gcm (AuthEnvelopedData)")
	flags.StringVar(&f.keyTransport, "key-transport", schemas.KeyTransportPKCS1, "`scheme`: rsa-pkcs1v15, which every reader opens, or rsa-oaep")
	flags.StringVar(&f.names, "names", "", "`product` whose field names each row has next to ours: genesys")
	for name, choices := range map[string][]string{
		"attachments": schemas.AttachmentChoices(), "compression": schemas.Compressions(), "encoding": schemas.Encodings(),
		"cipher": schemas.Ciphers(), "key-transport": schemas.KeyTransports(), "names": schemas.NamesChoices(),
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp))
	}
}

// split is the split size in bytes, 0 if none was given.
func (f *shapeFlags) split() (int64, error) {
	if f.splitSize == "" {
		return 0, nil
	}
	var n config.Bytes
	if err := n.UnmarshalText([]byte(f.splitSize)); err != nil {
		return 0, fmt.Errorf("--split-size: %w", err)
	}
	return int64(n), nil
}
