{{- define "versus.fullname" -}}
{{- if contains "versus" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "versus.selector" -}}
app.kubernetes.io/name: versus-incident
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "versus.labels" -}}
{{ include "versus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "versus.image" -}}
{{- $repository := required "image.repository is required: push the image that docs/deploy/containers.md builds, and name it here" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The shipped configuration, with what is different here. */}}
{{- define "versus.config" -}}
{{- $config := .Files.Get "files/config.yaml" | fromYaml -}}
{{- if .Values.ingress.enabled -}}
{{- $_ := set $config "public_host" (printf "https://%s" (required "ingress.host is required" .Values.ingress.host)) -}}
{{- end -}}
{{- mergeOverwrite $config .Values.config | toYaml -}}
{{- end -}}

{{/* host:port of each sentinel, separated by commas. */}}
{{- define "versus.sentinels" -}}
{{- $hosts := list -}}
{{- range .Values.redis.sentinel.hosts -}}
{{- $hosts = append $hosts (ternary . (printf "%s:26379" .) (contains ":" .)) -}}
{{- end -}}
{{- join "," $hosts -}}
{{- end -}}

{{/* Environment variables that say where Redis is. */}}
{{- define "versus.redis" -}}
{{- with .Values.redis }}
{{- if and .host .sentinel.hosts }}
{{- fail "redis.host and redis.sentinel.hosts exclude each other: name one server, or the sentinels that know it" }}
{{- end }}
{{- if .sentinel.hosts }}
{{- if .sentinel.passwordKey }}
- name: VERSUS_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.existingSecret }}
      key: {{ .sentinel.passwordKey }}
{{- end }}
- name: REDIS_URL
  value: {{ printf "sentinel://%s%s/%v?master_name=%s%s" (ternary ":$(VERSUS_REDIS_PASSWORD)@" "" (ne .sentinel.passwordKey "")) (include "versus.sentinels" $) .db .sentinel.masterName (ternary "&ssl=true" "" .tls.enabled) | quote }}
{{- else if .host }}
- name: REDIS_HOST
  value: {{ .host | quote }}
- name: REDIS_PORT
  value: {{ .port | quote }}
- name: REDIS_DB
  value: {{ .db | quote }}
{{- end }}
{{- if .tls.enabled }}
- name: REDIS_TLS
  value: "true"
{{- if .tls.caConfigMap }}
- name: REDIS_CA_CERT
  value: /etc/versus-incident/redis/{{ .tls.caKey }}
{{- end }}
{{- if .tls.insecureSkipVerify }}
- name: REDIS_INSECURE_SKIP_VERIFY
  value: "true"
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What web, workers and the test have in common: a container called .name that does .command. */}}
{{- define "versus.container" -}}
name: {{ .name }}
image: {{ include "versus.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .command }}
envFrom:
  - secretRef:
      name: {{ required "existingSecret is required: a Secret with INCIDENTIO_API_KEY, INCIDENTIO_ALERT_SOURCE_CONFIG_ID and GATEWAY_SECRET" .root.Values.existingSecret }}
env:
  - name: VERSUS_CONFIG
    value: /etc/versus-incident/config/config.yaml
  - name: PORT
    value: "3000"
  - name: WEB_CONCURRENCY
    value: {{ .root.Values.web.concurrency | quote }}
  {{- with include "versus.redis" .root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- range $name, $value := .root.Values.env }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: tmp
    mountPath: /tmp
  - name: config
    mountPath: /etc/versus-incident/config
    readOnly: true
  {{- if .root.Values.redis.tls.caConfigMap }}
  - name: redis-ca
    mountPath: /etc/versus-incident/redis
    readOnly: true
  {{- end }}
{{- end -}}

{{/* What their pods have in common. */}}
{{- define "versus.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  - name: config
    configMap:
      name: {{ include "versus.fullname" . }}
  {{- if .Values.redis.tls.caConfigMap }}
  - name: redis-ca
    configMap:
      name: {{ .Values.redis.tls.caConfigMap }}
  {{- end }}
{{- end -}}

{{/* One deployment: .root, .name, .settings, and .more for the container. */}}
{{- define "versus.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "versus.fullname" .root }}-{{ .name }}
  labels:
    {{- include "versus.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .name }}
spec:
  replicas: {{ .settings.replicas }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  selector:
    matchLabels:
      {{- include "versus.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .name }}
  template:
    metadata:
      labels:
        {{- include "versus.labels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .name }}
      annotations:
        checksum/config: {{ include "versus.config" .root | sha256sum }}
        {{- with .settings.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "versus.pod" .root | nindent 6 }}
      # Requests and pages that are under way finish within 30 s.
      terminationGracePeriodSeconds: 40
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "versus.selector" .root | nindent 14 }}
              app.kubernetes.io/component: {{ .name }}
      {{- with .settings.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- range $key := list "nodeSelector" "tolerations" "affinity" }}
      {{- with get $.settings $key }}
      {{ $key }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      containers:
        - {{- include "versus.container" (dict "root" .root "name" .name "command" (list .name)) | nindent 10 }}
          resources:
            {{- toYaml .settings.resources | nindent 12 }}
          {{- with .more }}
          {{- . | nindent 10 }}
          {{- end }}
{{- end -}}
