// Command board prints the Grafana board of fedns and fedsync, as JSON.
//
// It answers in one look: who answers what, which shards are up and why others aren't, who is
// silent, what is held back, how long a change takes to be answered, and what fedsync hasn't
// done yet.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	b, err := board().Build()
	if err == nil {
		var text []byte
		if text, err = json.MarshalIndent(b, "", "  "); err == nil {
			_, err = os.Stdout.Write(append(text, '\n'))
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "board: %v\n", err)
		os.Exit(1)
	}
}

// source is the Prometheus that is chosen on the board.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

// Sizes of panels; a row is 24 wide.
const (
	height = 8
	low    = 4
	half   = 12
	third  = 8
	sixth  = 4
)

// A query is an expression, and what its series are called.
type query struct{ expr, legend string }

func target(i int, q query) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source).Expr(q.expr).LegendFormat(q.legend).RefId(string(rune('A' + i))).Range()
}

// lines shows how something has gone; stacked, parts of a whole.
func lines(title, description, unit string, width uint32, stacked bool, queries ...query) *timeseries.PanelBuilder {
	p := timeseries.NewPanelBuilder().Title(title).Description(description).Datasource(source).Unit(unit).Span(width).Height(height).Min(0)
	if stacked {
		p.FillOpacity(30).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	for i, q := range queries {
		p.WithTarget(target(i, q))
	}
	return p
}

// number shows what something is now: green at 0, red above.
func number(title, description, expr string) *stat.PanelBuilder {
	return stat.NewPanelBuilder().Title(title).Description(description).Datasource(source).Span(sixth).Height(low).
		ColorMode(common.BigValueColorModeBackground).NoValue("0").Thresholds(limits()).WithTarget(target(0, query{expr, title}))
}

// states shows which of several things was bad, and when: 0 is good.
func states(title, description string, q query) *statetimeline.PanelBuilder {
	return statetimeline.NewPanelBuilder().Title(title).Description(description).Datasource(source).Span(half).Height(height).
		Thresholds(limits()).ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)).WithTarget(target(0, q))
}

func limits() *dashboard.ThresholdsConfigBuilder {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: "green"}, {Value: cog.ToPtr(1.0), Color: "red"}})
}

// quantiles are those of a histogram.
func quantiles(metric string) []query {
	var out []query
	for _, q := range []string{"0.5", "0.99"} {
		out = append(out, query{fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s_bucket[$__rate_interval])))", q, metric), "p" + q[2:]})
	}
	return out
}

func board() *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder("fedns").Uid("fedns").Tags([]string{"dns", "fedns"}).Refresh("30s").Time("now-3h", "now").Readonly().
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("federation").Label("Federation").Datasource(source).
			Query(dashboard.StringOrMap{String: cog.ToPtr("label_values(coredns_federation_snapshot_services, federation)")}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Multi(true).IncludeAll(true).AllValue(".+")).
		WithRow(dashboard.NewRowBuilder("Is all well?")).
		WithPanel(number("Servers down", "fedns that can't be asked for their metrics", `count(up{job=~".*fedns.*"} == 0)`)).
		WithPanel(number("Clusters silent", "of which nothing can be learned, as seen by any server", `count(max by (cluster) (coredns_federation_cluster_silent{federation=~"$federation"}) == 1)`)).
		WithPanel(number("Services held", "of which the guard holds withdrawals back", `max(coredns_federation_guard_held_services{federation=~"$federation"})`)).
		WithPanel(number("Probes ignored", "services of which probes fail for too many shards", `max(coredns_federation_panic_services{federation=~"$federation"})`)).
		WithPanel(number("Hosts in conflict", "claims that are refused", `max(coredns_federation_host_conflicts{federation=~"$federation"})`)).
		WithPanel(number("Deletions wait", "in clusters, for an operator", `sum(fedsync_waiting_deletions)`)).
		WithRow(dashboard.NewRowBuilder("Answers")).
		WithPanel(lines("Answers by outcome", "fallback is an answer of a wider scope than was asked for", "reqps", half, true,
			query{`sum by (outcome) (rate(coredns_federation_answers_total[$__rate_interval]))`, "{{outcome}}"})).
		WithPanel(lines("Answers by server", "who answers how much", "reqps", half, true,
			query{`sum by (instance) (rate(coredns_federation_answers_total[$__rate_interval]))`, "{{instance}}"})).
		WithPanel(lines("Fallback and failures", "part of all answers", "percentunit", third, false,
			query{`sum(rate(coredns_federation_answers_total{outcome="fallback"}[$__rate_interval])) / sum(rate(coredns_federation_answers_total[$__rate_interval]))`, "a wider scope"},
			query{`sum(rate(coredns_federation_answers_total{outcome="servfail"}[$__rate_interval])) / sum(rate(coredns_federation_answers_total[$__rate_interval]))`, "SERVFAIL"})).
		WithPanel(lines("Fast path", "questions it answers, leaves to the plugins, and loses there", "reqps", third, true,
			query{`sum by (way) (rate(coredns_federation_fast_questions_total[$__rate_interval]))`, "{{way}}"})).
		WithPanel(lines("Limited and refused", "answers beyond the rate, connections beyond their number, questions from ports of other services", "reqps", third, false,
			query{`sum by (action) (rate(coredns_federation_rate_limited_total[$__rate_interval]))`, "{{action}}"},
			query{`sum(rate(coredns_federation_tcp_ended_total[$__rate_interval]))`, "TCP ended"},
			query{`sum(rate(coredns_federation_reflected_total[$__rate_interval]))`, "reflected"})).
		WithRow(dashboard.NewRowBuilder("Shards")).
		WithPanel(lines("Shards by verdict and reason", "as the server that sees most of them sees it", "short", half, true,
			query{`max by (verdict, reason) (sum by (instance, verdict, reason) (coredns_federation_shards{federation=~"$federation"}))`, "{{verdict}}: {{reason}}"})).
		WithPanel(lines("Shards up by cluster", "where traffic can go", "short", half, true,
			query{`max by (cluster) (sum by (instance, cluster) (coredns_federation_shards{federation=~"$federation",verdict="up"}))`, "{{cluster}}"})).
		WithPanel(states("Silent clusters", "red while a server can learn nothing of a cluster",
			query{`max by (cluster) (coredns_federation_cluster_silent{federation=~"$federation"})`, "{{cluster}}"})).
		WithPanel(lines("Errors of clusters' APIs", "by reason; gone, closed and hung are everyday life", "reqps", half, false,
			query{`sum by (cluster, reason) (rate(coredns_federation_cluster_errors_total{federation=~"$federation",reason!~"gone|closed|hung"}[$__rate_interval]))`, "{{cluster}}: {{reason}}"})).
		WithRow(dashboard.NewRowBuilder("From a change to its answer")).
		WithPanel(lines("Event to answer", "from a watch event to the snapshot that answers it", "s", third, false, quantiles("coredns_federation_event_to_answer_seconds")...)).
		WithPanel(lines("Publications", "new snapshots", "ops", third, false,
			query{`sum by (instance) (rate(coredns_federation_publications_total[$__rate_interval]))`, "{{instance}}"})).
		WithPanel(lines("Probes", "by result", "reqps", third, true,
			query{`sum by (result) (rate(coredns_federation_probes_total[$__rate_interval]))`, "{{result}}"})).
		WithRow(dashboard.NewRowBuilder("fedsync")).
		WithPanel(lines("Objects not as they should be", "in clusters, by state", "short", third, true,
			query{`sum by (cluster, state) (fedsync_objects{state!~"Applied|Finished"})`, "{{cluster}}: {{state}}"})).
		WithPanel(lines("Steps", "what is done in clusters", "ops", third, true,
			query{`sum by (verb, outcome) (rate(fedsync_steps_total[$__rate_interval]))`, "{{verb}} {{outcome}}"})).
		WithPanel(states("Clusters out of fedsync's reach", "red while nothing can be written there",
			query{`1 - fedsync_cluster_reachable`, "{{cluster}}"}).Span(third))
}
