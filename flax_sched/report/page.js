'use strict';
const figures = JSON.parse(document.getElementById('figures').textContent);
const dark = matchMedia('(prefers-color-scheme: dark)');
// Where one scrolls by touching, a plot must not keep the finger, and its
// buttons are always there.
const touched = matchMedia('(pointer: coarse)').matches;
const config = {
  displaylogo: false,
  responsive: true,
  // These and no others: some versions have one that sends the data away.
  modeBarButtons: [
    ['toImage', 'zoom2d', 'pan2d', 'zoomIn2d', 'zoomOut2d', 'resetScale2d'],
  ],
};

// The colours of the page.
function template() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const axis = {gridcolor: of('--rule'), linecolor: of('--rule'), zeroline: false};
  return {
    layout: {
      paper_bgcolor: 'rgba(0,0,0,0)',
      plot_bgcolor: 'rgba(0,0,0,0)',
      font: {color: of('--ink'), size: 12, family: 'system-ui, sans-serif'},
      hoverlabel: {bgcolor: of('--paper'), bordercolor: of('--rule')},
      modebar: {bgcolor: 'rgba(0,0,0,0)', color: of('--soft'), activecolor: of('--ink')},
      xaxis: axis,
      yaxis: axis,
    },
  };
}

// The names of the phases that have room for them, above the plot.
function annotations(figure, width) {
  const [first, last] = figure.layout.xaxis.range;
  return figure.phases
    .filter(([start, end, name]) =>
      ((end - start) / (last - first)) * (width - 80) > 6.5 * name.length)
    .map(([start, end, name]) => ({
      x: (start + end) / 2,
      y: 1,
      yref: 'paper',
      yanchor: 'bottom',
      showarrow: false,
      text: name,
      font: {size: 11},
      opacity: 0.7,
    }));
}

for (const [id, figure] of Object.entries(figures)) {
  const plot = document.getElementById(id);
  const button = document.querySelector(`button[data-plot="${id}"]`);
  Plotly.newPlot(plot, figure.data, {
    ...figure.layout,
    margin: {...figure.layout.margin, t: touched ? 56 : 28},
    dragmode: touched ? false : 'zoom',
    template: template(),
    annotations: annotations(figure, plot.clientWidth),
  }, config);
  new ResizeObserver(() => {
    Plotly.relayout(plot, {annotations: annotations(figure, plot.clientWidth)});
  }).observe(plot);
  const say = () => {
    button.textContent = plot.layout.yaxis.type === 'log' ? 'linear' : 'log';
  };
  button.addEventListener('click', async () => {
    const type = plot.layout.yaxis.type === 'log' ? 'linear' : 'log';
    await Plotly.relayout(plot, {'yaxis.type': type, 'yaxis.autorange': true});
    say();
  });
  say();
}
dark.addEventListener('change', () => {
  for (const id of Object.keys(figures)) {
    Plotly.relayout(id, {template: template()});
  }
});
