package hosted

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/kube"
)

// An encryptionKey is one that Secrets are encrypted with in etcd: they are credentials of every
// cluster, and lie in its volume, and in the copies of that.
type encryptionKey struct {
	number int
	secret []byte
}

// An encryption is the keys that the API server knows. It writes with the first of them, and reads
// what was written with any.
//
// A rotation goes through three such lists, so that no API server ever meets what it can't read, however
// many run at a time: (old, new), (new, old), and, when all Secrets have been written anew, (new).
type encryption []encryptionKey

func newEncryptionKey(number int) encryptionKey {
	k := encryptionKey{number, make([]byte, 32)}
	rand.Read(k.secret) // never fails: crypto/rand
	return k
}

// name is what etcd has before each Secret. It has to stay for as long as one has it.
func (k encryptionKey) name() string {
	if k.number == 1 {
		return "first"
	}
	return fmt.Sprintf("key-%d", k.number)
}

// next is the list that follows in a rotation; rewritten says whether all Secrets were written since
// the last.
func (e encryption) next(rewritten bool) encryption {
	switch {
	case len(e) == 1:
		return encryption{e[0], newEncryptionKey(e[0].number + 1)}
	case e[0].number < e[1].number:
		return encryption{e[1], e[0]}
	case rewritten:
		return e[:1]
	}
	return e
}

// config is kube-apiserver's.
func (e encryption) config() []byte {
	var keys []string
	for _, k := range e {
		keys = append(keys, fmt.Sprintf("{name: %s, secret: %s}", k.name(), base64.StdEncoding.EncodeToString(k.secret)))
	}
	return fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets, works.fedns.io]
  providers:
  - secretbox: {keys: [%s]}
  - identity: {}
`, strings.Join(keys, ", "))
}

// text is how the list is kept: a number and a key in each line.
func (e encryption) text() []byte {
	var b bytes.Buffer
	for _, k := range e {
		fmt.Fprintf(&b, "%d %s\n", k.number, base64.StdEncoding.EncodeToString(k.secret))
	}
	return b.Bytes()
}

// encryptionOf reads it. Before there were rotations, there was one key, and nothing but that.
func encryptionOf(text, only []byte) (e encryption, err error) {
	if len(text) == 0 && len(only) > 0 {
		return encryption{{1, only}}, nil
	}
	for line := range strings.Lines(string(text)) {
		var k encryptionKey
		var secret string
		if _, err := fmt.Sscanf(line, "%d %s", &k.number, &secret); err != nil {
			return nil, fmt.Errorf("encryption.keys: a line isn't a number and a key: %w", err)
		}
		if k.secret, err = base64.StdEncoding.DecodeString(secret); err != nil || len(k.secret) != 32 {
			return nil, fmt.Errorf("encryption.keys: key %d isn't one of 32 bytes", k.number)
		}
		e = append(e, k)
	}
	if len(e) > 2 {
		return nil, fmt.Errorf("encryption.keys: %d keys; a rotation has two", len(e))
	}
	return e, nil
}

// Rotate gives the API another key for what lies in its etcd, writes all Secrets with it, and forgets the last.
// What was broken off goes on where it was.
func (p Plan) Rotate(ctx context.Context, l *apply.Applied, own *kube.API, admin []byte, say Waiter) error {
	for rewritten := false; ; {
		k, err := p.readKeys(ctx, l.API)
		if err != nil {
			return err
		}
		if len(k.encryption) == 0 {
			return advice.Errorf("fedctl init first", "federation %s has no key yet", p.Federation)
		}
		next := k.encryption.next(rewritten)
		if len(next) == len(k.encryption) && next[0].number == k.encryption[0].number {
			say("all Secrets to be written with the new key")
			for _, k := range encrypted {
				if err := rewrite(ctx, own, k); err != nil {
					return err
				}
			}
			rewritten = true
			continue
		}
		k.encryption = next
		say(fmt.Sprintf("the API to know %s", keyNames(next)))
		objects, err := p.workloads(k)
		if err != nil {
			return err
		}
		if _, err := l.Apply(ctx, p.apiSecret(k)); err != nil {
			return err
		}
		for _, o := range objects {
			if o.GetKind() == builtin.Deployments.Name {
				if _, err := l.Apply(ctx, o); err != nil {
					return err
				}
			}
		}
		if err := p.ready(ctx, l.API, admin, say); err != nil {
			return err
		}
		if len(next) == 1 {
			return nil
		}
	}
}

func keyNames(e encryption) string {
	var names []string
	for _, k := range e {
		names = append(names, k.name())
	}
	return strings.Join(names, ", ")
}

// encrypted are the kinds that lie in etcd so: Works have what clusters that pull get of Secrets.
var encrypted = []kube.Kind{builtin.Secrets, v1alpha1.Works}

// rewrite has each object of a kind written as it is.
func rewrite(ctx context.Context, api *kube.API, k kube.Kind) error {
	all, err := api.List(ctx, k, "", "")
	if kube.Missing(err) {
		return nil // an API of before has no Works
	}
	if err != nil {
		return fmt.Errorf("%s: %w", k.Resource, err)
	}
	for len(all) > 0 {
		var again []kube.Object
		for _, o := range all {
			_, err := api.Put(ctx, k, &o, "")
			switch {
			case err == nil, kube.Missing(err):
			case kube.Conflict(err): // somebody has written it meanwhile, maybe with the last key
				now, err := api.Get(ctx, k, o.GetNamespace(), o.GetName())
				if err != nil && !kube.Missing(err) {
					return fmt.Errorf("%s %s/%s: %w", k.Name, o.GetNamespace(), o.GetName(), err)
				}
				if err == nil {
					again = append(again, *now)
				}
			default:
				return fmt.Errorf("%s %s/%s: %w", k.Name, o.GetNamespace(), o.GetName(), err)
			}
		}
		all = slices.Clip(again)
	}
	return nil
}
