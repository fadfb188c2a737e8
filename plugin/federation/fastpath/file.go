package fastpath

import (
	"net/netip"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/file"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/filezone"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// filePlugin answers from zone files.
const filePlugin = "file"

// plugin is who CoreDNS says answers for a domain.
func (d *domain) plugin() string {
	if d.file != nil {
		return filePlugin
	}
	return observe.PluginName
}

// addFiles has the zones of plugin file answered that stand in server blocks without a federation,
// where no plugin needs to see all questions.
func (h *Handler) addFiles(f *Owner, all []bypass.Block, at bypass.Place) {
	for i := range all {
		b := &all[i]
		if !b.Has(filePlugin) || b.Has(observe.PluginName) || len(b.At(at)) == 0 {
			continue
		}
		cfg := f.ConfigOf(b.Number)
		handler, ok := cfg.Handler(filePlugin).(file.File)
		if !ok || !b.Is(cfg) {
			continue // the Corefile has changed since it was read
		}
		for name, z := range handler.Z {
			beside, why := bypass.Owns(all, b.Number, dnsname.Name(name), at)
			if why != "" {
				continue
			}
			needed, done, why := b.Needs(dnsname.Name(name), caddy.ValidDirectives("dns"), filePlugin)
			if why == "" {
				read := f.file(dnsname.Name(name), z, handler.Fall)
				read.Open()
				h.AddFile(read, cfg, beside, needed, done)
			}
		}
	}
}

// AddFile has questions for names in a zone of plugin file answered.
func (h *Handler) AddFile(z *filezone.Zone, cfg *dnsserver.Config, beside bypass.Neighbours, needed bypass.Combined, done bypass.Effects) {
	h.add(domain{file: z, name: z.Name, needs: needed, part: done}, cfg, beside)
}

// fromFile writes the answer to the question in p for a name in a zone of plugin file; its size is 0, and p as it was,
// where the plugin itself is to answer.
func (r *responder) fromFile(p *packet.Packet, d *domain, need bypass.Kinds) (size int) {
	q := &r.q
	switch q.Type {
	case dns.TypeAXFR, dns.TypeIXFR, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeNXNAME:
		return 0
	}
	if !q.Plain() || need&bypass.Whatever == bypass.Whatever {
		return 0
	}
	a, stale := d.file.Answer(r.name, q.Labels(d.labels), q.Type, q.EDNS.DO)
	if stale && d.file.Claim() {
		r.chained.put(job{do: d.file.Read, drop: d.file.Release})
	}
	if a == nil || need&a.Kinds != 0 {
		return 0
	}
	t := &r.reply
	t.Serial, t.Scope, t.From = a.Serial, 0, p.From.Addr()
	var of *zone.Block
	var to *zone.Domain
	if a.Lead != nil {
		if of, to = r.aliased(a.Lead.To); to == nil && r.serves(a.Lead.To) {
			return 0
		}
	}
	r.query = append(r.query[:0], p.Buf[:p.N]...)
	t.Reply.Begin(p.Buf, q, q.Limit(), &t.Extras)
	if to == nil {
		if !t.In(d.file.Domain()) || !t.Sections(&a.Sections) {
			copy(p.Buf, r.query)
			return 0
		}
	} else {
		t.Network = netip.Prefix{} // which no other plugin passes on
		t.Turn++
		out, ok := t.Lead(q, a.Lead, of, to, r.find)
		if !ok || need&out.Kinds != 0 {
			copy(p.Buf, r.query)
			return 0
		}
		r.tally.outcomes[out.What][out.Outcome.Scope].add()
		of.Traffic.Count(out.Subject, out.Outcome)
	}
	size = len(t.Reply.End())
	d.part.Flags.Apply(p.Buf)
	r.tally.count(r, p, d, size, p.Buf[3]&0x0f)
	return size
}
