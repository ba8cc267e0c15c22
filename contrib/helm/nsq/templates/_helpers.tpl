{{/* Templates with "component" in their name take a dict: root ($), name and values of the component. */}}

{{/* Longest name of a component: 51 characters, so that what Kubernetes derives from it fits into a label. */}}
{{- define "nsq.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "nsq.component.fullname" -}}
{{- default (printf "%s-%s" (include "nsq.fullname" .root) .name) .values.fullnameOverride -}}
{{- end -}}

{{- define "nsq.nsqlookupd" -}}
{{- include "nsq.component.fullname" (dict "root" . "name" "nsqlookupd" "values" .Values.nsqlookupd) -}}
{{- end -}}

{{- define "nsq.nsqd" -}}
{{- include "nsq.component.fullname" (dict "root" . "name" "nsqd" "values" .Values.nsqd) -}}
{{- end -}}

{{- define "nsq.nsqd.headless" -}}
{{- include "nsq.nsqd" . -}}-headless
{{- end -}}

{{- define "nsq.component.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "nsq.component.labels" -}}
{{ include "nsq.component.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "nsq.component.serviceAccountName" -}}
{{- if .values.serviceAccountName -}}
{{ .values.serviceAccountName }}
{{- else if .values.serviceAccount.create -}}
{{ include "nsq.component.fullname" . }}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* The host under which a pod of a StatefulSet is found, with its headless service; it stays the same for the next pod. */}}
{{- define "nsq.podHost" -}}
$(POD_NAME).{{ .service }}.{{ .root.Release.Namespace }}.svc{{ with .root.Values.clusterDomain }}.{{ . }}{{ end }}
{{- end -}}

{{/* host:port of every pod of a StatefulSet, one per line behind a flag. They are in the namespace of who asks. */}}
{{- define "nsq.addresses" -}}
{{- $ := . -}}
{{- range $i := until (int .replicas) }}
- {{ printf "--%s=%s-%d.%s:%d" $.flag $.statefulSet $i $.service (int $.port) | quote }}
{{- end -}}
{{- end -}}

{{- define "nsq.component.extraArgs" -}}
{{- range .values.extraArgs }}
- {{ . | quote }}
{{- end -}}
{{- end -}}

{{/* What pods of all components have in common, above their containers. */}}
{{- define "nsq.component.podSpec" -}}
serviceAccountName: {{ include "nsq.component.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
  {{- if .values.affinity }}
  {{- toYaml .values.affinity | nindent 2 }}
  {{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "nsq.component.selectorLabels" . | nindent 14 }}
  {{- end }}
{{- end -}}

{{/* What containers of all components have in common, but for command, args, ports and volumes. */}}
{{- define "nsq.component.container" -}}
name: {{ .name }}
image: {{ printf "%s:%s" .root.Values.image.repository (default (printf "v%s" .root.Chart.AppVersion) .root.Values.image.tag) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
{{- with .values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
env:
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  - name: POD_IP
    valueFrom:
      fieldRef:
        fieldPath: status.podIP
  {{- with .values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- include "nsq.probe" (dict "name" "startupProbe" "probe" .values.startupProbe "path" (printf "%s/health/live" (default "" .basePath))) }}
{{- include "nsq.probe" (dict "name" "livenessProbe" "probe" .values.livenessProbe "path" (printf "%s/health/live" (default "" .basePath))) }}
{{- include "nsq.probe" (dict "name" "readinessProbe" "probe" .values.readinessProbe "path" (printf "%s/health/ready" (default "" .basePath))) }}
{{- with .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A probe of the values with the request it makes, unless they say another. */}}
{{- define "nsq.probe" -}}
{{- if .probe }}
{{- $probe := deepCopy .probe }}
{{- if not (or .probe.exec .probe.tcpSocket .probe.grpc) }}
{{- $probe = mergeOverwrite (dict "httpGet" (dict "path" .path "port" "http")) $probe }}
{{- end }}
{{ .name }}:
  {{- toYaml $probe | nindent 2 }}
{{- end }}
{{- end -}}
