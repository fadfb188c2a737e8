{{/* The namespace of everything: Secrets of clusters that join, and so who reads them, are in federation-system. */}}
{{- define "fedns.namespace" -}}
{{- if eq .Values.api.mode "here" }}federation-system{{ else }}{{ .Release.Namespace }}{{ end -}}
{{- end }}

{{- define "fedns.name" -}}
{{- if contains "fedns" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-fedns" (.Release.Name | trunc 44 | trimSuffix "-") }}{{ end -}}
{{- end }}

{{- define "fedns.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
fedns.io/federation: {{ .Values.federation }}
{{ include "fedns.selector" . }}
{{- end }}

{{- define "fedns.selector" -}}
app.kubernetes.io/name: fedns
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fedns.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The port that fedns listens on: pods need no right for one above 1023. */}}
{{- define "fedns.port" -}}
{{- if eq .Values.kind "DaemonSet" }}53{{ else }}1053{{ end -}}
{{- end }}

{{/* The service account of this cluster's own member and of the federation's API. fedctl join lets fedns read by this name. */}}
{{- define "fedns.account" -}}
{{- if eq .Values.api.mode "here" }}fedns{{ else }}{{ include "fedns.name" . }}{{ end -}}
{{- end }}

{{- define "fedns.corefile" -}}
{{- if .Values.corefile }}{{ .Values.corefile }}{{ else -}}
{{- $port := include "fedns.port" . -}}
{{ .Values.domain }}:{{ $port }}{{ if .Values.member.clusterDomain }} {{ .Values.federation }}.svc.{{ .Values.member.clusterDomain }}:{{ $port }}{{ end }} {
    federation {{ .Values.federation }} {
{{- if .Values.member.enabled }}
        cluster {{ .Values.member.name }} {
            kubeconfig here.kubeconfig
{{- with .Values.member.region }}
            region {{ . }}
{{- end }}
{{- with .Values.member.zones }}
            zones {{ join " " . }}
{{- end }}
{{- with .Values.member.location }}
            location {{ . }}
{{- end }}
{{- with .Values.member.addresses }}
            addresses {{ join " " . }}
{{- end }}
        }
{{- if .Values.member.clusterDomain }}
        local {{ .Values.member.name }} {{ .Values.member.clusterDomain }}
{{- end }}
{{- end }}
{{- range .Values.clusters }}
        cluster {{ .name }} {
            kubeconfig /etc/fedns/clusters/{{ .name }}/kubeconfig{{ with .context }} {{ . }}{{ end }}
{{- with .region }}
            region {{ . }}
{{- end }}
{{- with .zones }}
            zones {{ join " " . }}
{{- end }}
{{- with .location }}
            location {{ . }}
{{- end }}
{{- with .addresses }}
            addresses {{ join " " . }}
{{- end }}
        }
{{- end }}
{{- if eq .Values.api.mode "here" }}
        registry here.kubeconfig
{{- else if eq .Values.api.mode "elsewhere" }}
        registry /etc/fedns/api/kubeconfig{{ with .Values.api.context }} {{ . }}{{ end }}
{{- end }}
{{- if .Values.nameservers }}
        apex zone
{{- end }}
{{- if ne .Values.state.kind "none" }}
        state /var/lib/fedns
{{- end }}
{{- with .Values.geo.file }}
        geo /var/lib/geo/{{ . }}
{{- end }}
        {{ include "fedns.status" . }}
{{- range .Values.options }}
        {{ . }}
{{- end }}
    }
    ready :8181
    health :8080 {
        lameduck {{ .Values.lameduck }}
    }
    prometheus :9153
    reload
    errors
{{- range .Values.plugins }}
    {{ . }}
{{- end }}
}
{{ end -}}
{{- end }}

{{/* Where the page is, and who may look. */}}
{{- define "fedns.status" -}}
{{- $s := .Values.status -}}
status {{ if $s.expose }}0.0.0.0{{ else }}127.0.0.1{{ end }}:8053
{{- if $s.tls.secret }} tls /etc/fedns/status/tls/tls.crt /etc/fedns/status/tls/tls.key{{ if $s.tls.clientCA }} /etc/fedns/status/tls/ca.crt{{ end }}{{ end }}
{{- if $s.token.secret }} token /etc/fedns/status/token/token{{ end }}
{{- if $s.review }} review here.kubeconfig{{ end }}
{{- with $s.hosts }} host {{ join " " . }}{{ end }}
{{- end }}

{{/* The files beside the Corefile. */}}
{{- define "fedns.config" -}}
Corefile: |
{{ include "fedns.corefile" . | trimSuffix "\n" | indent 2 }}
here.kubeconfig: |
  apiVersion: v1
  kind: Config
  current-context: here
  contexts: [{name: here, context: {cluster: here, user: here}}]
  clusters: [{name: here, cluster: {server: "https://kubernetes.default.svc", certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt}}]
  users: [{name: here, user: {tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token}}]
{{- if .Values.nameservers }}
zone: |
{{ include "fedns.zone" . | trimSuffix "\n" | indent 2 }}
{{- end }}
{{- end }}

{{/* The static records of the domain: its name servers. */}}
{{- define "fedns.zone" -}}
{{- $names := keys .Values.nameservers | sortAlpha -}}
$ORIGIN {{ .Values.domain }}.
@ 3600 IN SOA {{ first $names }} hostmaster 1 7200 1800 86400 5
{{- range $names }}
@ 3600 IN NS {{ . }}
{{- end }}
{{- range $name := $names }}
{{- range index $.Values.nameservers $name }}
{{ $name }} 3600 IN {{ if contains ":" . }}AAAA{{ else }}A{{ end }} {{ . }}
{{- end }}
{{- end }}
{{ end }}

{{/* Whether an object that is there is this release's: "true", or "". */}}
{{- define "fedns.owns" -}}
{{- $marks := default dict .object.metadata.annotations -}}
{{- if and (eq (get $marks "meta.helm.sh/release-name") .root.Release.Name) (eq (get $marks "meta.helm.sh/release-namespace") .root.Release.Namespace) }}true{{ end -}}
{{- end }}

{{/* The rules of a role in a file of rights, by the name that it has there. */}}
{{- define "fedns.rules" -}}
{{- $want := .role -}}
{{- range splitList "\n---\n" (.root.Files.Get .file) -}}
{{- $o := fromYaml . -}}
{{- if and $o (eq $o.kind $want.kind) (eq $o.metadata.name $want.name) (eq (default "" $o.metadata.namespace) (default "" $want.namespace)) }}
{{ toYaml $o.rules }}
{{- end }}
{{- end }}
{{- end }}

{{- define "fedns.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- if eq .Values.kind "DaemonSet" }}
    add: [NET_BIND_SERVICE]
{{- end }}
{{- end }}

{{- define "fedns.podSecurity" -}}
securityContext:
{{- if eq .Values.kind "DaemonSet" }}
  # A port below 1024 on a node's network needs the right to it, which only root has there.
  runAsUser: 0
{{- else }}
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
{{- end }}
  seccompProfile: {{ toJson .Values.seccompProfile }}
{{- end }}

{{- define "fedns.pod" -}}
{{- $name := include "fedns.name" . -}}
metadata:
  labels:
    {{- include "fedns.labels" . | nindent 4 }}
    app.kubernetes.io/component: dns
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: fedns
    checksum/config: {{ include "fedns.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "fedns.account" . }}
  automountServiceAccountToken: {{ or .Values.member.enabled (eq .Values.api.mode "here") .Values.status.review }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  enableServiceLinks: false
  {{- if eq .Values.kind "DaemonSet" }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  {{- include "fedns.podSecurity" . | nindent 2 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and .Values.topologySpread (ne .Values.kind "DaemonSet") }}
  topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "fedns.selector" $ | nindent 8 }}
        app.kubernetes.io/component: dns
  {{- end }}
  {{- end }}
  containers:
  - name: fedns
    image: {{ include "fedns.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [/fedns]
    args: [--conf, /etc/fedns/config/Corefile]
    {{- with .Values.extraEnv }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
    - {name: dns, containerPort: {{ include "fedns.port" . }}, protocol: UDP}
    - {name: dns-tcp, containerPort: {{ include "fedns.port" . }}, protocol: TCP}
    - {name: metrics, containerPort: 9153, protocol: TCP}
    {{- if .Values.status.expose }}
    - {name: status, containerPort: 8053, protocol: TCP}
    {{- end }}
    readinessProbe:
      httpGet: {path: /ready, port: 8181}
      periodSeconds: 2
      timeoutSeconds: 2
    livenessProbe:
      httpGet: {path: /health, port: 8080}
      initialDelaySeconds: 15
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    {{- include "fedns.container" . | nindent 4 }}
    volumeMounts:
    - {name: config, mountPath: /etc/fedns/config, readOnly: true}
    {{- if eq .Values.api.mode "elsewhere" }}
    - {name: api, mountPath: /etc/fedns/api, readOnly: true}
    {{- end }}
    {{- range .Values.clusters }}
    - {name: "cluster-{{ .name }}", mountPath: /etc/fedns/clusters/{{ .name }}, readOnly: true}
    {{- end }}
    {{- if ne .Values.state.kind "none" }}
    - {name: state, mountPath: /var/lib/fedns}
    {{- end }}
    {{- if .Values.geo.volume }}
    - {name: geo, mountPath: /var/lib/geo, readOnly: true}
    {{- end }}
    {{- if .Values.status.tls.secret }}
    - {name: status-tls, mountPath: /etc/fedns/status/tls, readOnly: true}
    {{- end }}
    {{- if .Values.status.token.secret }}
    - {name: status-token, mountPath: /etc/fedns/status/token, readOnly: true}
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
  - name: config
    configMap: {name: {{ $name }}}
  {{- if eq .Values.api.mode "elsewhere" }}
  - name: api
    secret: {secretName: {{ .Values.api.kubeconfigSecret }}}
  {{- end }}
  {{- range .Values.clusters }}
  - name: cluster-{{ .name }}
    secret: {secretName: {{ .kubeconfigSecret }}}
  {{- end }}
  {{- if eq .Values.state.kind "emptyDir" }}
  - name: state
    emptyDir: {sizeLimit: {{ .Values.state.size }}}
  {{- end }}
  {{- if .Values.geo.volume }}
  - name: geo
    {{- toYaml .Values.geo.volume | nindent 4 }}
  {{- end }}
  {{- if .Values.status.tls.secret }}
  - name: status-tls
    secret: {secretName: {{ .Values.status.tls.secret }}, defaultMode: 0440}
  {{- end }}
  {{- with .Values.status.token }}
  {{- if .secret }}
  - name: status-token
    secret: {secretName: {{ .secret }}, defaultMode: 0440, items: [{key: {{ .key | quote }}, path: token}]}
  {{- end }}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* How many seconds a time such as 1m30s is. */}}
{{- define "fedns.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ms|s|m|h)" . -1 -}}
{{- $sum = addf $sum (mulf (regexFind "[0-9.]+" .) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end }}

{{/* A quantity of Kubernetes as a number; what is written in another way than most is left to the API server: "". */}}
{{- define "fedns.quantity" -}}
{{- $units := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $text := toString . -}}
{{- if regexMatch "^[0-9]+([.][0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$" $text -}}
{{- mulf (regexFind "^[0-9.]+" $text) (default 1.0 (get $units (regexFind "[A-Za-z]*$" $text))) -}}
{{- end -}}
{{- end }}
