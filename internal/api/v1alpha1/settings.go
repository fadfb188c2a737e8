package v1alpha1

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ConfigName is the ConfigMap in System that says whose API it is, and what its fedsync
// runs with: what one program is told, the others read there.
const ConfigName = "federation"

// Settings are what that ConfigMap says.
//
// +kubebuilder:object:generate=false
type Settings struct {
	Federation string
	Domain     string
	// Hosted says that fedctl made the API, in a host cluster.
	Hosted bool
	// Kinds are those that are kept beside fedsync's own, as fedctl init was told.
	Kinds []Kind
	// Surge is that of federated objects without fedns.io/surge; "": nobody has said one.
	Surge string
	// Restoring is the digest of a backup that is being put into this API; "": none is. fedsync
	// stays away meanwhile: what isn't there yet would be taken for deleted.
	Restoring string
	// Fedsync is what the fedsync that leads runs with; nil: none of a version that says
	// so has led.
	Fedsync *FedsyncSettings
}

// FedsyncSettings are what a fedsync plans by.
//
// +kubebuilder:object:generate=false
type FedsyncSettings struct {
	Version    string
	Kinds      []Kind // beside its own
	Dropped    []Kind // that were kept once, and of which something is left
	MaxDeletes int
	LostAfter  time.Duration
	// Confined says that it does with rights in the federation's namespaces only, and renews tokens.
	Confined bool
	// SecretsByName says that it does with the right to the Secrets that it needs in the federation's API.
	SecretsByName bool
}

// The keys of the ConfigMap. Those with a dot are fedsync's, the others fedctl's: each
// applies its own.
const (
	nameKey       = "name"
	domainKey     = "domain"
	hostedKey     = "hosted"
	kindsKey      = "kinds"
	surgeKey      = "surge"
	restoringKey  = "restoring"
	versionKey    = "fedsync.version"
	ownKindsKey   = "fedsync.kinds"
	droppedKey    = "fedsync.dropped-kinds"
	maxDeletesKey = "fedsync.max-deletes"
	lostAfterKey  = "fedsync.lost-after"
	confinedKey   = "fedsync.confined"
	byNameKey     = "fedsync.secrets-by-name"
)

// Data is what fedctl writes.
func (s Settings) Data() map[string]any {
	data := map[string]any{nameKey: s.Federation, domainKey: s.Domain}
	if s.Hosted {
		data[hostedKey] = "true"
	}
	if len(s.Kinds) > 0 {
		data[kindsKey] = FormatKinds(s.Kinds)
	}
	if s.Surge != "" {
		data[surgeKey] = s.Surge
	}
	if s.Restoring != "" {
		data[restoringKey] = s.Restoring
	}
	return data
}

// Data is what fedsync writes.
func (f FedsyncSettings) Data() map[string]any {
	return map[string]any{
		versionKey: f.Version, ownKindsKey: FormatKinds(f.Kinds), droppedKey: FormatKinds(f.Dropped), maxDeletesKey: strconv.Itoa(f.MaxDeletes), lostAfterKey: f.LostAfter.String(), confinedKey: strconv.FormatBool(f.Confined),
		byNameKey: strconv.FormatBool(f.SecretsByName),
	}
}

// AllKinds are those that fedctl init was told and those that fedsync runs with, or has to do
// with still. How they
// are served has still to be found out.
func (s Settings) AllKinds() []Kind {
	out := slices.Clone(s.Kinds)
	if s.Fedsync == nil {
		return out
	}
	for _, k := range slices.Concat(s.Fedsync.Kinds, s.Fedsync.Dropped) {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// SettingsOf reads the ConfigMap.
func SettingsOf(o *unstructured.Unstructured) (s Settings, err error) {
	data, _, err := unstructured.NestedStringMap(o.Object, "data")
	if err != nil {
		return s, fmt.Errorf("ConfigMap %s/%s: %w", System, ConfigName, err)
	}
	wrong := func(key string, err error) (Settings, error) {
		return Settings{}, fmt.Errorf("ConfigMap %s/%s: %s: %w", System, ConfigName, key, err)
	}
	s.Federation, s.Domain, s.Hosted = data[nameKey], data[domainKey], data[hostedKey] == "true"
	s.Surge, s.Restoring = data[surgeKey], data[restoringKey]
	if s.Kinds, err = ParseKinds(data[kindsKey]); err != nil {
		return wrong(kindsKey, err)
	}
	if _, said := data[versionKey]; !said {
		return s, nil
	}
	f := &FedsyncSettings{Version: data[versionKey], Confined: data[confinedKey] == "true", SecretsByName: data[byNameKey] == "true"}
	if f.Kinds, err = ParseKinds(data[ownKindsKey]); err != nil {
		return wrong(ownKindsKey, err)
	}
	if f.Dropped, err = ParseKinds(data[droppedKey]); err != nil {
		return wrong(droppedKey, err)
	}
	if f.MaxDeletes, err = strconv.Atoi(data[maxDeletesKey]); err != nil || f.MaxDeletes < 0 {
		return wrong(maxDeletesKey, fmt.Errorf("%q isn't a number of 0 or more", data[maxDeletesKey]))
	}
	if f.LostAfter, err = time.ParseDuration(data[lostAfterKey]); err != nil || f.LostAfter < 0 {
		return wrong(lostAfterKey, fmt.Errorf("%q isn't a duration such as 5m0s", data[lostAfterKey]))
	}
	s.Fedsync = f
	return s, nil
}

// LeaseOf is the name of the Lease by which the fedsync of a federation leads.
func LeaseOf(federation string) string { return "fedsync-" + federation }

// FormatKinds is a list of kinds, in one order: example.com/v1/Gadget,v1/LimitRange.
func FormatKinds(kinds []Kind) string {
	var out []string
	for _, k := range kinds {
		out = append(out, k.String())
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",")
}

// ParseKinds reads such a list.
func ParseKinds(text string) (out []Kind, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		k, err := ParseKind(part)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}
