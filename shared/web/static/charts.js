// Draws each [data-chart] from the JSON beside it, in the colours of the page.
(() => {
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const chinese = document.documentElement.lang.startsWith("zh");
  const grouped = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });
  const formats = {
    index: (value) => +value.toFixed(4),
    number: (value) => grouped.format(value),
    percent: (value) => `${(value * 100).toFixed(1)}%`,
    money: (value) => `¥${grouped.format(value / 100)}`,
    // hours in, days and hours out
    duration: (value) => {
      const days = Math.floor(value / 24);
      const hours = Math.round((value % 24) * 10) / 10;
      if (!days) return chinese ? `${hours}小时` : `${hours} h`;
      return chinese ? `${days}天${Math.round(hours)}小时` : `${days} d ${Math.round(hours)} h`;
    },
  };

  const palette = () => Array.from({ length: 8 }, (_, i) => style(`--chart-${i + 1}`));

  const axis = (given) => {
    const one = (item) => ({
      ...item,
      axisLine: { lineStyle: { color: style("--banka-line-strong") }, ...item.axisLine },
      axisTick: { show: false, ...item.axisTick },
      axisLabel: { color: style("--banka-quiet"), ...item.axisLabel },
      splitLine: { lineStyle: { color: style("--banka-line") }, ...item.splitLine },
      nameTextStyle: { color: style("--banka-quiet"), ...item.nameTextStyle },
    });
    return Array.isArray(given) ? given.map(one) : one(given);
  };

  const complete = (option, room) => {
    const { banka = {}, ...rest } = option;
    const format = formats[banka.format ?? "number"] ?? formats.number;
    const full = {
      color: palette(),
      backgroundColor: "transparent",
      animation: !reduced,
      animationDuration: 300,
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: style("--banka-ink") },
      aria: { enabled: true },
      ...rest,
      tooltip: {
        trigger: rest.xAxis || rest.yAxis ? "axis" : "item",
        valueFormatter: format,
        backgroundColor: style("--banka-surface"),
        borderColor: style("--banka-line-strong"),
        textStyle: { color: style("--banka-ink"), fontSize: 12 },
        ...rest.tooltip,
        renderMode: "richText", // HTML tooltips carry inline styles, which the page forbids
      },
    };
    if (rest.legend) {
      full.legend = { bottom: 0, itemWidth: 10, itemHeight: 10, icon: "roundRect",
        textStyle: { color: style("--banka-quiet") }, ...rest.legend };
    }
    if (rest.xAxis || rest.yAxis) {
      full.grid = { left: 8, right: 16, top: 16, bottom: rest.legend ? 32 : 8, outerBoundsMode: "same",
        ...rest.grid };
      full.xAxis = axis(rest.xAxis ?? {});
      full.yAxis = axis(rest.yAxis ?? {});
      const values = Array.isArray(full.yAxis) ? full.yAxis : [full.yAxis, full.xAxis].flat();
      for (const one of values) {
        if (one.type === "value") one.axisLabel = { formatter: format, hideOverlap: true, ...one.axisLabel };
      }
      // a few names below bars are all said, as far as there is room
      for (const one of [full.xAxis].flat()) {
        const few = one.type === "category" && one.data?.length <= 12;
        if (few) one.axisLabel = { interval: 0, hideOverlap: true, ...one.axisLabel };
      }
      // what stands beside the bars may take two fifths of a narrow chart, on several lines
      for (const one of [full.yAxis].flat()) {
        if (one.type === "category") one.axisLabel = { width: room * 0.4, overflow: "break", ...one.axisLabel };
      }
    }
    for (const series of [full.series ?? []].flat()) {
      if (series.type === "bar") {
        series.barMaxWidth ??= 28;
        if (series.label?.show) series.label = { color: style("--banka-ink"), formatter: (p) => format(p.value), ...series.label };
      }
      if (series.type === "pie") {
        series.itemStyle = { borderColor: style("--banka-surface"), borderWidth: 2, ...series.itemStyle };
        series.label = { color: style("--banka-ink"), ...series.label };
      }
      if (series.type === "line") series.symbolSize ??= 5;
    }
    return full;
  };

  const draw = (holder) => {
    const source = document.querySelector(`script[data-chart-option="${CSS.escape(holder.id)}"]`);
    if (!source) return;
    const chart = echarts.getInstanceByDom(holder) ?? echarts.init(holder, null, { renderer: "canvas" });
    chart.setOption(complete(JSON.parse(source.textContent), holder.clientWidth), true);
    holder.dataset.drawn = "1";
  };
  const drawAll = (scope = document) => scope.querySelectorAll("[data-chart]").forEach(draw);

  drawAll();
  document.addEventListener("htmx:load", (event) => drawAll(event.target));
  document.addEventListener("banka:theme", () => drawAll());
  const resized = new ResizeObserver((entries) => {
    for (const entry of entries) echarts.getInstanceByDom(entry.target)?.resize();
  });
  document.querySelectorAll("[data-chart]").forEach((holder) => resized.observe(holder));
  addEventListener("beforeprint", () =>
    document.querySelectorAll("[data-chart]").forEach((h) => echarts.getInstanceByDom(h)?.resize()));
})();
