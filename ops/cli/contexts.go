package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"cdds/ops/config"
	"cdds/schemas"
)

// savedContext is a server with the token to act through it, under a name.
type savedContext struct {
	Name   string `json:"name"`
	Server string `json:"server"`
	Token  string `json:"token"`
	// TenantID is the tenant that commands are about unless they name another; empty for
	// a token of all tenants.
	TenantID string `json:"tenant_id,omitempty"`
}

// contexts is what `cdds login` saves for this user. The file holds tokens: nobody else can
// read it.
type contexts struct {
	Current  string         `json:"current,omitempty"`
	Contexts []savedContext `json:"contexts"`
}

func contextsFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no place for contexts: %w", err)
	}
	return filepath.Join(dir, "cdds", "contexts.json"), nil
}

// loadContexts reads what is saved; nothing if there is no file, or no place for one.
func loadContexts() (c contexts, err error) {
	file, err := contextsFile()
	if err != nil {
		return c, nil //nolint:nilerr // a machine's user without a home has saved nothing
	}
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, nil
	case err != nil:
		return c, err
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return c, usageError{withHint(fmt.Errorf("%s holds tokens and others can read it", file), "chmod 600 "+file)}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return c, err
	}
	if err := schemas.Read(content, &c); err != nil {
		return c, usageError{withHint(fmt.Errorf("%s: %w", file, err), "correct it, or remove it and log in again")}
	}
	return c, nil
}

// save replaces the file as a whole.
func (c contexts) save() error {
	file, err := contextsFile()
	if err != nil {
		return usageError{err}
	}
	content, err := schemas.Encode(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(file), ".contexts-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = draft.Write(append(content, '\n'))
	if err = errors.Join(err, draft.Close()); err == nil {
		err = os.Rename(draft.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(draft.Name()))
	}
	return nil
}

// named is the context of a name.
func (c contexts) named(name string) (savedContext, error) {
	var names []string
	for _, saved := range c.Contexts {
		if saved.Name == name {
			return saved, nil
		}
		names = append(names, saved.Name)
	}
	return savedContext{}, usageError{withHint(fmt.Errorf("there is no context %q%s", name, config.DidYouMean(name, names)), "`cdds context list` lists them; `cdds login` saves one")}
}

// contextNames are the names to complete.
func contextNames() (names []string) {
	all, _ := loadContexts() // a shell that completes shows no errors
	for _, c := range all.Contexts {
		names = append(names, c.Name)
	}
	return names
}

func (c *contexts) put(saved savedContext) {
	c.drop(saved.Name)
	c.Contexts = append(c.Contexts, saved)
	slices.SortFunc(c.Contexts, func(a, b savedContext) int { return strings.Compare(a.Name, b.Name) })
	c.Current = saved.Name
}

func (c *contexts) drop(name string) {
	c.Contexts = slices.DeleteFunc(c.Contexts, func(saved savedContext) bool { return saved.Name == name })
	if c.Current == name {
		c.Current = ""
	}
}
